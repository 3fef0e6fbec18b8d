import { expect, test } from "bun:test";

import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { command, commandOn } from "./harness/cache/commands.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { writeRegistryFolder } from "./harness/registries/registry-folder.ts";
import { multiPlatformImage, textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { pull } from "./harness/cache/pull.ts";
import { withSystemFault } from "./harness/faults/system-faults.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";
import { realTest } from "./harness/real-components.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { push } from "./harness/registries/push.ts";
import { randomImages } from "./harness/images/random-images.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const entrepot = new URL("../bin/entrepot", import.meta.url).pathname;

test("adopt rejects a folder without a registry and an upstream that is not configured", async () => {
  await using dir = await tempDir("data");
  const adopt = (...args: string[]) =>
    run([entrepot, "adopt", ...args, "--data", dir.file("d"), "--admin", "127.0.0.1:1"]);
  const none = await adopt(dir.path, "--upstream", "docker.io");
  expect(none.code).toBe(1);
  expect(none.stderr).toContain("is not a registry's folder: it has no docker/registry/v2");
  const foreign = await adopt(dir.path, "--upstream", "reg.test");
  expect(foreign.code).toBe(1);
  expect(foreign.stderr).toContain("reg.test is not a configured upstream");
  expect((await adopt(dir.path)).code).toBe(2);
  // Created by root, the data directory would not be writable for the user that runs the cache.
  expect(await readdir(dir.path)).not.toContain("d");
});

test("a running cache adopts folders and reports the corrupt blobs that it skipped", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("adopt");
  const [first, second] = [textImage({ text: "first" }), textImage({ text: "second" })];
  await writeRegistryFolder(dir.file("one"), "team/app", "1", first);
  await writeRegistryFolder(dir.file("two"), "team/app", "2", second);
  const broken = second.blobs.at(-1);
  const hex = broken?.digest.slice("sha256:".length) ?? "";
  const data = `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
  await writeFile(join(dir.file("two"), data), "something else");
  await using cache = await startEntrepot({
    config: {
      storage: { scrub: 0 },
      upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
    },
  });
  const adopt = (...args: string[]) => command(cache, "adopt", ...args, "--upstream", "reg.test");
  const result = await adopt(dir.file("one"), "--link");
  expect([result.code, result.stderr]).toEqual([0, ""]);
  expect(result.stdout).toMatch(
    /^Adopted (\d) blobs, [\d.]+ K?i?B \(\1 linked, 0 copied\)\.\n1 tag and 1 manifest of 1 repository are now cached for reg\.test: run entrepot ls to see them\.\n$/,
  );
  const repeated = await adopt(dir.file("one"));
  expect(repeated.stdout).toStartWith("Adopted 0 blobs, 0 B; ");
  const corrupt = await adopt(dir.file("two"));
  expect(corrupt.code).toBe(1);
  expect(corrupt.stdout).toEndWith(
    "1 blob was skipped as corrupt: it is fetched from reg.test when requested.\n",
  );
  const none = await adopt(dir.path);
  expect([none.code, none.stdout]).toEqual([1, ""]);
  expect(none.stderr).toStartWith(`entrepot: ${dir.path} is not a registry's folder: it has no `);
  const nowhere = await adopt(dir.file("nowhere"));
  expect(nowhere.stderr).toBe(
    `entrepot: ${dir.file("nowhere")} cannot be read: no such file or directory (ENOENT)\n`,
  );
  const foreign = await command(cache, "adopt", dir.file("one"), "--upstream", "none.test");
  expect(foreign.stderr).toBe(
    "entrepot: none.test is not a configured upstream, so its images could not be pulled. Configured upstreams: reg.test\n",
  );
  await upstream.stop();
  await pull(cache, "team/app", "1", first);
  expect((await command(cache, "fsck")).code).toBe(0);
}, 60_000);

test("concurrent adoptions of one folder succeed, also after a cache was killed during one", async () => {
  await using dir = await tempDir("adopt");
  const other = await mkdtemp("/dev/shm/entrepot-adopt-");
  try {
    const images = randomImages({ count: 20, smallest: 50_000, largest: 2_000_000 });
    for (const [at, image] of images.entries())
      await writeRegistryFolder(other, `app${at}`, "1", image);
    const config = { storage: { scrub: 0 }, upstreams: { "reg.test": {} } };
    const data = dir.file("d");
    {
      await using cache = await startEntrepot({ config, data });
      const pending = command(cache, "adopt", other, "--upstream", "reg.test");
      await until(async () => (await storedBlobs(data)).length > 0, { what: "the first copy" });
      await cache.stop("SIGKILL");
      const { code, stderr } = await pending;
      // It may have finished before the kill.
      if (code !== 0)
        expect(stderr).toMatch(/^entrepot: the cache (?:at \S+ )?stopped before it .*\n$/);
    }
    await using cache = await startEntrepot({ config, data });
    expect(await readdir(data)).not.toContain("adopting");
    const both = await Promise.all(
      [1, 2].map(() => command(cache, "adopt", other, "--upstream", "reg.test")),
    );
    // What takes over a second says how far it is.
    const complaints = both.map(({ stderr }) => stderr.replaceAll(/^\d+ of \d+ files, .*\n/gm, ""));
    expect([both.map(({ code }) => code), complaints]).toEqual([
      [0, 0],
      ["", ""],
    ]);
    const digests = new Set(
      images.flatMap((image) => [image.manifest, ...image.blobs].map(({ digest }) => digest)),
    );
    expect(await verifyStore(data)).toEqual([...digests].sort());
  } finally {
    await rm(other, { recursive: true });
  }
}, 60_000);

realTest("what cannot be read or stored is listed, and everything else is adopted", async () => {
  await using dir = await tempDir("adopt");
  const registry = dir.file("registry");
  const images = ["a", "b", "c"].map((text) => textImage({ text }));
  for (const [at, image] of images.entries())
    await writeRegistryFolder(registry, `app${at}`, "1", image);
  const config = dir.file("entrepot.yaml");
  await writeFile(config, JSON.stringify({ upstreams: { "reg.test": {} } }));
  const data = dir.file("d");
  const adopt = ["adopt", registry, "--upstream", "reg.test", "--json"];
  const flags = ["--config", config, "--admin", "127.0.0.1:1", "--data", data];
  const root = join(registry, "docker/registry/v2");
  const hexOf = (at: number): string => images[at]?.blobs[0]?.digest.slice(7) ?? "";
  const folderOf = (at: number): string => `blobs/sha256/${hexOf(at).slice(0, 2)}/${hexOf(at)}`;
  const unreadable = [
    join(root, folderOf(0), "data"),
    join(root, folderOf(1)),
    join(root, "repositories/app2/_manifests/tags"),
  ];
  for (const path of unreadable) await chmod(path, 0);
  const unprivileged = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", entrepot];
  const first = await run([...unprivileged, ...adopt, ...flags]);
  expect([first.code, first.stderr]).toEqual([1, ""]);
  const permission = expect.stringContaining("permission denied");
  expect(JSON.parse(first.stdout)).toMatchObject({
    blobs: 7,
    corrupt: 0,
    repositories: 3,
    tags: 2,
    manifests: 3,
    failed: 3,
    failures: expect.arrayContaining([
      { path: unreadable[0], reason: permission },
      { path: join(unreadable[1] ?? "", "data"), reason: permission },
      { path: unreadable[2], reason: permission },
    ]),
  });
  for (const path of unreadable) await chmod(path, 0o700);

  // The store's own disk fails with one file.
  const fault = { calls: ["?link", "linkat"], paths: unreadable.slice(0, 1), error: "EIO" };
  const second = await run(
    withSystemFault(fault, [entrepot, ...adopt.slice(0, -1), "--link", ...flags]),
  );
  expect(second.code).toBe(1);
  expect(second.stdout).toContain(`\nfailed: ${unreadable[0]}: it could not be stored: the disk`);
  expect(second.stdout).toEndWith(
    "\n1 file or folder was left out: mend the reason, and run again. What is adopted by then is not read again.\n",
  );
  const third = await run([entrepot, ...adopt, ...flags]);
  expect(third.code).toBe(0);
  expect(JSON.parse(third.stdout)).toMatchObject({ blobs: 1, known: 8, tags: 3, failures: [] });
  expect(await verifyStore(data)).toHaveLength(9);
});

test("blobs of a folder on another file system are copied instead of linked", async () => {
  await using dir = await tempDir("adopt");
  const other = await mkdtemp("/dev/shm/entrepot-adopt-");
  try {
    const image = textImage({ text: "copied" });
    await writeRegistryFolder(other, "team/app", "1", image);
    const config = dir.file("entrepot.yaml");
    await Bun.write(config, JSON.stringify({ upstreams: { "reg.test": {} } }));
    const data = dir.file("d");
    const result = await commandOn(
      data,
      config,
      "adopt",
      other,
      "--upstream",
      "reg.test",
      "--json",
    );
    expect([result.code, result.stderr]).toEqual([0, ""]);
    const count = image.blobs.length + 1;
    expect(JSON.parse(result.stdout)).toMatchObject({ blobs: count, linked: 0, omitted: 0 });
    expect(await verifyStore(data)).toHaveLength(count);
  } finally {
    await rm(other, { recursive: true });
  }
}, 60_000);

realTest(
  "the cache of a registry:2 proxy is adopted, and served while its upstream is down",
  async () => {
    await using dir = await tempDir("adopt");
    await using origin = await startDockerRegistry();
    const image = await multiPlatformImage();
    await push(image, { url: origin.url, repository: "team/app", tag: "1" });
    const storage = dir.file("registry");
    {
      await using proxy = await startDockerRegistry({ storage, proxy: { remoteurl: origin.url } });
      const get = async (path: string): Promise<void> => {
        const headers = {
          accept:
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json",
        };
        const response = await fetch(`${proxy.url}/v2/team/app/${path}`, { headers });
        expect(response.status).toBe(200);
        await response.bytes();
      };
      await get("manifests/1");
      for (const child of image.children) {
        await get(`manifests/${child.manifest.digest}`);
        for (const blob of child.blobs) await get(`blobs/${blob.digest}`);
      }
      // The proxy stores in the background what it has served.
      await until(
        async () => {
          const found = await readdir(
            join(storage, "docker/registry/v2/repositories/team/app/_layers/sha256"),
          );
          return found.length >= image.children.flatMap((child) => child.blobs).length;
        },
        { what: "the proxy to store everything" },
      );
    }
    const before = await snapshot(storage);
    const settings = {
      storage: { scrub: 0 },
      upstreams: { "reg.test": { ...localUpstream(origin.url), tagTtl: "1h" } },
    };
    const configFile = dir.file("entrepot.yaml");
    await Bun.write(configFile, JSON.stringify(settings));
    await origin.stop();
    const adopted = await commandOn(
      dir.file("d"),
      configFile,
      "adopt",
      storage,
      "--upstream",
      "reg.test",
      "--json",
    );
    expect([adopted.code, adopted.stderr]).toEqual([0, ""]);
    expect(JSON.parse(adopted.stdout)).toMatchObject({
      corrupt: 0,
      repositories: 1,
      tags: 1,
      manifests: 3,
    });
    expect(await snapshot(storage)).toEqual(before);
    await using cache = await startEntrepot({ config: settings, data: dir.file("d") });
    await pull(cache, "team/app", "1", image);
    await verifyStore(dir.file("d"));
  },
  90_000,
);

/** Every file and folder below a folder, with its size and modification time. */
async function snapshot(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const lines = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const { size, mtimeMs } = await stat(path);
    return `${path} ${entry.isFile() ? size : "folder"} ${mtimeMs}`;
  });
  return (await Promise.all(lines)).sort();
}
