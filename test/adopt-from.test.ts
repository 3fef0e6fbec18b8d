import { expect, test } from "bun:test";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { stringify } from "yaml";
import { command } from "./harness/cache/commands.ts";
import { startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { run } from "./harness/processes.ts";
import { writeRegistryFolder } from "./harness/registries/registry-folder.ts";
import { tempDir } from "./harness/temp-dir.ts";

const PROGRAM = new URL("../bin/entrepot", import.meta.url).pathname;

/** Four folders of registries, two of them in one volume, and a program that knows the volume. */
async function setUp() {
  const dir = await tempDir("from");
  const images = ["docker.io", "ghcr.io", "quay.io", "k8s"].map((text) => textImage({ text }));
  for (const [at, folder] of ["hub", "volume/ghcr", "volume/quay", "k8s"].entries()) {
    const image = images[at];
    if (image) await writeRegistryFolder(dir.file(folder), "team/app", "1", image);
  }
  await symlink(dir.file("hub"), dir.file("alias"));
  const docker = dir.file("bin/docker");
  await mkdir(dir.file("bin"));
  const answer = JSON.stringify([{ Name: "caches", Mountpoint: dir.file("volume") }]);
  await writeFile(docker, `#!/bin/sh\n[ "$3" = caches ] && echo '${answer}'\n`);
  await chmod(docker, 0o755);
  const config = async (upstreams: object): Promise<string> => {
    const file = dir.file("entrepot.yaml");
    await writeFile(file, stringify({ storage: { scrub: 0 }, upstreams }));
    return file;
  };
  const env = { PATH: `${dir.file("bin")}:${process.env["PATH"] ?? ""}` };
  return { dir, config, env, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() };
}

test("adopt --from adopts each source of the file, names those that it cannot adopt, and goes on when run again", async () => {
  await using at = await setUp();
  const { dir } = at;
  const upstreams = {
    "docker.io": { adopt: { folder: dir.file("hub") } },
    "mirror.test": { adopt: { folder: dir.file("alias") } },
    "ghcr.io": { adopt: { volume: "caches", subpath: "ghcr" } },
    "quay.io": { adopt: { volume: "caches", subpath: "quay" } },
    "registry.k8s.io": { adopt: { folder: dir.file("nowhere\u001b[2J\n") } },
    "reg.test": {},
  };
  const file = await at.config(upstreams);
  const adopt = ["adopt", "--from", file, "--data", dir.file("d"), "--admin", "127.0.0.1:1"];
  const first = await run([PROGRAM, ...adopt], { env: at.env });
  const shared = (name: string, folder: string): string =>
    `${name} has the same data (${dir.file(folder)}), and it does not say whose images are in it`;
  expect(first.code).toBe(1);
  const [hub = "", alias = "", k8s = "", ...more] = first.stderr.split("\n");
  expect(hub).toStartWith(
    `entrepot: docker.io, from ${dir.file("hub")}: ${shared("mirror.test", "alias")}`,
  );
  expect(alias).toStartWith(
    `entrepot: mirror.test, from ${dir.file("alias")}: ${shared("docker.io", "hub")}`,
  );
  expect(k8s).toContain("nowhere\\u001b[2J\\u000a cannot be read: no such file or directory");
  expect(more).toEqual([""]);
  expect(first.stdout).toContain(` copied) into ${dir.file("d")}.\n`);
  expect(first.stdout).toMatch(
    /^ghcr\.io, from volume caches\/ghcr:\nAdopted 3 blobs.*\n.*for ghcr\.io.*\nquay\.io, from volume caches\/quay:\nAdopted 3 blobs.*\n.*\n$/,
  );

  await at.config({
    ...upstreams,
    "mirror.test": {},
    "registry.k8s.io": { adopt: { folder: dir.file("k8s") } },
  });
  const second = await run([PROGRAM, ...adopt, "--json"], { env: at.env });
  expect([second.code, second.stderr]).toEqual([0, ""]);
  const adopted = (blobs: number): object =>
    expect.objectContaining({ blobs, known: 3 - blobs, manifests: 1, failed: 0 });
  expect(JSON.parse(second.stdout)).toEqual({
    adoptions: [
      { upstream: "docker.io", folder: dir.file("hub"), adopted: adopted(3) },
      { upstream: "ghcr.io", volume: "caches", subpath: "ghcr", adopted: adopted(0) },
      { upstream: "quay.io", volume: "caches", subpath: "quay", adopted: adopted(0) },
      { upstream: "registry.k8s.io", folder: dir.file("k8s"), adopted: adopted(3) },
    ],
  });
}, 60_000);

test("a running cache adopts what a file names, but no folder for a second upstream", async () => {
  await using at = await setUp();
  const { dir } = at;
  await using cache = await startEntrepot({
    config: { storage: { scrub: 0 }, upstreams: { "docker.io": {}, "ghcr.io": {} } },
  });
  const file = await at.config({
    "docker.io": { adopt: { folder: dir.file("hub") } },
    "ghcr.io": { adopt: { folder: dir.file("k8s") } },
    "quay.io": { adopt: { folder: dir.file("volume/quay") } },
  });
  const first = await command(cache, "adopt", "--from", file);
  expect([first.code, first.stdout.match(/^Adopted 3 blobs/gm)?.length]).toEqual([1, 2]);
  expect(first.stderr).toStartWith(
    `entrepot: quay.io, from ${dir.file("volume/quay")}: quay.io is not a configured upstream`,
  );
  const again = (...args: string[]) => command(cache, "adopt", dir.file("alias"), ...args);
  const second = await again("--upstream", "ghcr.io");
  expect(second.stderr).toBe(
    `entrepot: ${dir.file("alias")} was adopted for docker.io: adopted for ghcr.io as well, images of one registry would answer for those of the other. If it holds images of both, and you want that, add --shared\n`,
  );
  expect((await again("--upstream", "docker.io")).code).toBe(0);
  expect((await again("--upstream", "ghcr.io", "--shared")).code).toBe(0);
}, 60_000);

test.each([
  [["adopt", "/srv", "--from", "x"], 2, "give a folder and its --upstream, or --from"],
  [["adopt", "--upstream", "docker.io"], 2, "give a folder and its --upstream, or --from"],
  [["adopt", "--from", "/nowhere.yaml"], 2, "--from: /nowhere.yaml does not exist"],
  [["adopt", "--from", "/dev/null"], 1, "/dev/null: no upstream has the key adopt"],
])("%j is rejected", async (args, code, message) => {
  const result = await run([PROGRAM, ...args]);
  expect([result.code, result.stdout]).toEqual([code, ""]);
  expect(result.stderr).toContain(message);
});
