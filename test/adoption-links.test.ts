import { expect, test } from "bun:test";
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeRegistryFolder } from "./harness/registries/registry-folder.ts";
import { type Image, layersOf, textImage } from "./harness/images/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";

const entrepot = new URL("../bin/entrepot", import.meta.url).pathname;

test("adopt follows links inside the folder only, and skips a symlink loop and a named pipe", async () => {
  await using dir = await tempDir("adopt");
  const [normal, odd] = [textImage({ text: "normal" }), textImage({ text: "odd" })];
  const folder = dir.file("registry");
  const root = join(folder, "docker/registry/v2");
  await writeRegistryFolder(folder, "team/app", "1", normal);
  await writeRegistryFolder(folder, "team/odd", "1", odd);
  // A blob that was moved inside the folder and symlinked, a folder that links to its parent, and a
  // named pipe, which never ends.
  const [layer] = layersOf(normal);
  const hex = layer?.digest.slice("sha256:".length) ?? "";
  const data = join(root, `blobs/sha256/${hex.slice(0, 2)}/${hex}/data`);
  await rename(data, join(folder, "moved"));
  await symlink(join(folder, "moved"), data);
  await symlink("..", join(root, "repositories/team/loop"));
  const tag = join(root, "repositories/team/odd/_manifests/tags/1/current/link");
  await rm(tag);
  await run(["mkfifo", tag]);
  const config = dir.file("entrepot.yaml");
  await writeFile(config, JSON.stringify({ upstreams: { "reg.test": {} } }));
  const flags = ["--config", config, "--data", dir.file("d"), "--admin", "127.0.0.1:1"];
  const adopt = ["adopt", folder, "--upstream", "reg.test", "--json"];
  const result = await run([entrepot, ...adopt, ...flags]);
  expect([result.code, result.stderr]).toEqual([0, ""]);
  expect(JSON.parse(result.stdout)).toMatchObject({
    repositories: 2,
    tags: 1,
    manifests: 2,
    outside: 0,
  });
  await rm(folder, { recursive: true });
  await verifyStore(dir.file("d"));
  const stored = (await storedBlobs(dir.file("d"))).map(({ digest }) => digest);
  expect(stored).toContain(layer?.digest ?? "none");
  const fsck = await run([entrepot, "fsck", ...flags]);
  expect([fsck.code, fsck.stdout]).toEqual([0, expect.stringContaining("Verified 6 blobs")]);
});

test("adopt reads nothing outside the folder: blobs, folders, link files and the registry's root", async () => {
  await using dir = await tempDir("adopt");
  const images = ["blob", "repository", "tag"].map((text) => textImage({ text }));
  const [blob, repository, tag] = images;
  const folder = dir.file("registry");
  const root = join(folder, "docker/registry/v2");
  for (const [at, image] of images.entries())
    await writeRegistryFolder(folder, `team/app${at}`, "1", image);
  const moveOut = async (path: string, to: string): Promise<void> => {
    await rename(join(root, path), dir.file(to));
    await symlink(dir.file(to), join(root, path));
  };
  const hexOf = (image: Image | undefined): string =>
    image?.blobs[0]?.digest.slice("sha256:".length) ?? "";
  const hex = hexOf(blob);
  await moveOut(`blobs/sha256/${hex.slice(0, 2)}/${hex}/data`, "data");
  await moveOut("repositories/team/app1", "app1");
  await moveOut("repositories/team/app2/_manifests/tags/1/current/link", "link");
  const config = dir.file("entrepot.yaml");
  await writeFile(config, JSON.stringify({ upstreams: { "reg.test": {} } }));
  const flags = ["--config", config, "--data", dir.file("d"), "--admin", "127.0.0.1:1"];
  const adopt = (path: string, ...args: string[]) =>
    run([entrepot, "adopt", path, "--upstream", "reg.test", ...args, ...flags]);
  const result = await adopt(folder, "--json");
  expect([result.code, result.stderr]).toEqual([1, ""]);
  const files = images.reduce((sum, image) => sum + image.blobs.length + 1, 0);
  expect(JSON.parse(result.stdout)).toMatchObject({
    blobs: files - 1,
    repositories: 2,
    tags: 1,
    outside: 3,
  });
  const stored = (await storedBlobs(dir.file("d"))).map(({ digest }): string => digest);
  expect(stored).not.toContain(`sha256:${hex}`);
  expect(stored).toContain(`sha256:${hexOf(repository)}`);
  expect(stored).toContain(`sha256:${hexOf(tag)}`);
  expect((await adopt(folder)).stdout).toContain(
    "3 symbolic links out of the folder were not followed: move what they lead to into the folder, or mount it there.\n",
  );
  await mkdir(dir.file("other"));
  await symlink(join(folder, "docker"), dir.file("other/docker"));
  expect((await adopt(dir.file("other"))).stderr).toContain("is not a registry's folder");
});
