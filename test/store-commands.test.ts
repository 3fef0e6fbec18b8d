import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { command, commandOn } from "./harness/commands.ts";
import { bytesOf, randomContent } from "./harness/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/entrepot.ts";
import * as faults from "./harness/faults.ts";
import { bigImage, type Image, multiPlatformImage, textImage } from "./harness/images.ts";
import { tempDir } from "./harness/places.ts";
import { run } from "./harness/processes.ts";
import { realTest } from "./harness/real.ts";
import { startDockerRegistry } from "./harness/docker-registry.ts";
import { push } from "./harness/pushing.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { storedBlobs, verifyStore } from "./harness/stored.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const entrepot = new URL("../bin/entrepot", import.meta.url).pathname;

function config(upstream: ScriptedUpstream, storage: object = {}): object {
  return {
    storage: { scrub: 0, ...storage },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
  };
}

/** Pulls all of an image by its tag. */
async function pull(cache: Entrepot, repository: string, tag: string, image: Image): Promise<void> {
  const get = async (path: string): Promise<void> => {
    const response = await cache.get(`/v2/${repository}/${path}?ns=reg.test`);
    await response.bytes();
    expect(`${path} ${response.status}`).toBe(`${path} 200`);
  };
  await get(`manifests/${tag}`);
  for (const child of image.children) {
    await get(`manifests/${child.manifest.digest}`);
    for (const blob of child.blobs) await get(`blobs/${blob.digest}`);
  }
  for (const blob of image.blobs) await get(`blobs/${blob.digest}`);
}

test("ls, pin, purge and unpin tell what is cached, and change it", async () => {
  await using upstream = await startScriptedUpstream();
  const [one, two] = [textImage({ text: "one" }), textImage({ text: "two" })];
  const many = await multiPlatformImage();
  upstream.add("app", one, "1");
  upstream.add("app", two, "2");
  upstream.add("tools/many", many, "latest");
  await using cache = await startEntrepot({ config: config(upstream) });
  await pull(cache, "app", "1", one);
  await pull(cache, "app", "2", two);
  await pull(cache, "tools/many", "latest", many);

  const listed = await command(cache, "ls");
  expect(listed.code).toBe(0);
  const lines = listed.stdout.trimEnd().split("\n");
  expect(lines[0]).toMatch(/^IMAGE +TAG +PLATFORMS +SIZE +SHARED +LAST USED +PIN$/);
  expect(lines).toHaveLength(4);
  expect(lines[3]).toMatch(/^reg\.test\/tools\/many +latest +linux\/amd64, linux\/arm64 /);
  const json: unknown = JSON.parse((await command(cache, "ls", "--json", "reg.test/app:1")).stdout);
  expect(json).toMatchObject({
    images: [{ image: "reg.test/app", tag: "1", digest: one.manifest.digest }],
  });

  const nothing = await command(cache, "pin", "reg.test/none:*");
  expect([nothing.code, nothing.stdout]).toEqual([
    0,
    "Pinned reg.test/none:*: it matches nothing that is cached so far, and keeps what is pulled from now on.\n",
  ]);
  expect((await command(cache, "pin", "reg.test/app:1")).stdout).toBe(
    "Pinned reg.test/app:1: one image.\n",
  );
  expect((await command(cache, "pin")).stdout).toContain("reg.test/app:1 ");
  const refused = await command(cache, "purge", "reg.test/app");
  expect([refused.code, refused.stderr]).toEqual([
    1,
    "entrepot: reg.test/app:1 is pinned by reg.test/app:1: entrepot unpin 'reg.test/app:1' first\n",
  ]);
  expect((await command(cache, "purge", "reg.test/app:2")).stdout).toStartWith(
    "Forgot reg.test/app:2\n",
  );
  const digests = (await storedBlobs(cache.data)).map(({ digest }) => digest);
  expect(digests).not.toContain(two.manifest.digest);
  expect(digests).toContain(one.manifest.digest);
  await pull(cache, "app", "2", two);
  expect((await command(cache, "unpin", "reg.test/app:1")).code).toBe(0);
  const gone = await command(cache, "unpin", "reg.test/app:1");
  expect([gone.code, gone.stderr]).toEqual([
    1,
    "entrepot: there is no pin reg.test/app:1; pinned are: reg.test/none:*\n",
  ]);
  expect((await command(cache, "purge", "reg.test/none")).code).toBe(1);
  expect((await command(cache, "purge", "a b")).code).toBe(2);
  expect((await command(cache, "gc", "--dry-run")).stdout).toBe(
    "Nothing has to go: the store is within its bounds.\n",
  );
}, 60_000);

test("a pin that is more than may be stored is refused with the sum", async () => {
  await using upstream = await startScriptedUpstream();
  const image = textImage();
  const large = { ...image, blobs: [...image.blobs] };
  upstream.add("app", large, "1");
  await using cache = await startEntrepot({ config: config(upstream, { maxSize: "1MiB" }) });
  await pull(cache, "app", "1", large);
  expect((await command(cache, "pin", "reg.test/app:1")).code).toBe(0);
  const huge = await bigImage({ size: 3 * MIB });
  upstream.add("huge", huge, "1");
  await (await cache.get("/v2/huge/manifests/1?ns=reg.test")).bytes();
  const refused = await command(cache, "pin", "reg.test/huge:1");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(
    /^entrepot: with reg\.test\/huge:1, all pins together are \d{7} bytes, and storage\.maxSize is 1048576: pin less, name platforms, or raise storage\.maxSize\n$/,
  );
}, 60_000);

test("what is pinned stays while all else goes", async () => {
  await using upstream = await startScriptedUpstream();
  const pinned = textImage({ text: "stays" });
  upstream.add("pinned", pinned, "1");
  await using cache = await startEntrepot({
    config: config(upstream, { maxSize: "8MiB", minFree: 0 }),
  });
  await pull(cache, "pinned", "1", pinned);
  await command(cache, "pin", "reg.test/pinned:*");
  const blobs = Array.from({ length: 12 }, (_, seed) => randomContent(2 * MIB, seed + 1));
  for (const blob of blobs) {
    upstream.addBlob("app", blob);
    await (await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`)).bytes();
  }
  await upstream.stop();
  await pull(cache, "pinned", "1", pinned);
}, 60_000);

test("a quota and an age of an upstream bind it alone", async () => {
  await using upstream = await startScriptedUpstream();
  await using other = await startScriptedUpstream();
  const [shared, own] = [randomContent(2 * MIB, 1), randomContent(2 * MIB, 2)];
  for (const blob of [shared, own]) upstream.addBlob("app", blob);
  other.addBlob("app", shared);
  await using cache = await startEntrepot({
    config: {
      storage: { scrub: 0 },
      upstreams: {
        "reg.test": { ...localUpstream(upstream.url), maxAge: "1ms" },
        "other.test": localUpstream(other.url),
      },
    },
  });
  for (const [blob, ns] of [
    [shared, "reg.test"],
    [own, "reg.test"],
    [shared, "other.test"],
  ] as const) {
    await (await cache.get(`/v2/app/blobs/${blob.digest}?ns=${ns}`)).bytes();
  }
  await until(
    async () => {
      await command(cache, "gc");
      return (await storedBlobs(cache.data)).length === 1;
    },
    { what: "the age to be over" },
  );
  await other.stop();
  const still = await cache.get(`/v2/app/blobs/${shared.digest}?ns=other.test`);
  expect(Buffer.compare(await still.bytes(), bytesOf(shared))).toBe(0);
}, 60_000);

test("a flipped bit is found, set aside, and never served again", async () => {
  await using upstream = await startScriptedUpstream();
  const blob = randomContent(2 * MIB, 4);
  upstream.addBlob("app", blob);
  await using cache = await startEntrepot({ config: config(upstream) });
  const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  await (await cache.get(path)).bytes();
  const flip = async (): Promise<void> => {
    const [file] = await storedBlobs(cache.data);
    const bytes = await readFile(file?.path ?? "");
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    await writeFile(file?.path ?? "", bytes);
  };
  expect((await command(cache, "fsck")).code).toBe(0);
  await flip();
  const found = await command(cache, "fsck");
  expect([found.code, found.stdout]).toEqual([
    1,
    `Verified 1 files, 2 MiB.
corrupt: ${blob.digest}
1 contents were set aside in the folder set-aside; they are fetched anew when they are asked for (a running cache does not serve what it knows to be corrupt).
`,
  ]);
  expect(await storedBlobs(cache.data)).toEqual([]);
  expect(await readdir(join(cache.data, "set-aside"))).toHaveLength(1);
  expect(Buffer.compare(await (await cache.get(path)).bytes(), bytesOf(blob))).toBe(0);
  expect((await command(cache, "fsck", "--json")).code).toBe(0);

  // The same on the folder of one that is stopped, where nothing is touched without being asked.
  await flip();
  await cache.stop();
  const onFolder = (...args: string[]) => commandOn(cache.data, cache.configFile, ...args);
  expect((await onFolder("fsck")).code).toBe(1);
  expect(await storedBlobs(cache.data)).toHaveLength(1);
  expect((await onFolder("fsck", "--repair")).code).toBe(1);
  expect((await onFolder("fsck")).code).toBe(0);
  expect((await onFolder("ls")).stdout).toBe("Nothing is cached yet.\n");
  expect((await onFolder("gc")).code).toBe(0);
  expect((await onFolder("pin", "x")).code).toBe(1);
}, 60_000);

test("the scrub in the background finds a flipped bit by itself", async () => {
  await using upstream = await startScriptedUpstream();
  await using data = await tempDir("data");
  const blob = randomContent(MIB, 8);
  upstream.addBlob("app", blob);
  const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  {
    await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
    await (await cache.get(path)).bytes();
  }
  const [file] = await storedBlobs(data.file("d"));
  const bytes = await readFile(file?.path ?? "");
  bytes[7] = (bytes[7] ?? 0) ^ 1;
  await writeFile(file?.path ?? "", bytes);
  await using cache = await startEntrepot({
    config: config(upstream, { scrub: "100MiB" }),
    data: data.file("d"),
  });
  await cache.logged(
    "a stored content was corrupt: it was set aside and is fetched anew when asked for",
  );
  const metrics = await (await cache.getAdmin("/metrics")).text();
  expect(metrics).toContain("entrepot_corrupt_contents 1");
  expect(metrics).toContain(`entrepot_scrub_bytes_total ${MIB}`);
  expect(Buffer.compare(await (await cache.get(path)).bytes(), bytesOf(blob))).toBe(0);
}, 60_000);

test("a damaged index is made again, and its images served with their upstream away", async () => {
  await using upstream = await startScriptedUpstream();
  await using data = await tempDir("data");
  const image = await multiPlatformImage();
  const moved = textImage({ text: "after" });
  upstream.add("app", textImage({ text: "before" }), "2");
  upstream.add("app", image, "1");
  const settings = config(upstream);
  {
    await using cache = await startEntrepot({ config: settings, data: data.file("d") });
    await pull(cache, "app", "1", image);
    await command(cache, "pin", "reg.test/app:1");
  }
  await writeFile(join(data.file("d"), "index.db"), "this is no database".repeat(1000));
  await upstream.stop();
  await using cache = await startEntrepot({ config: settings, data: data.file("d") });
  await cache.logged("the index was made again");
  await pull(cache, "app", "1", image);
  expect((await command(cache, "ls")).stdout).toContain("reg.test/app:1");
  expect(moved.blobs.length).toBeGreaterThan(0);
}, 60_000);

test("files without facts and facts without files are mended beside traffic", async () => {
  await using upstream = await startScriptedUpstream();
  await using data = await tempDir("data");
  const [kept, lost] = [randomContent(MIB, 1), randomContent(MIB, 2)];
  for (const blob of [kept, lost]) upstream.addBlob("app", blob);
  const path = (digest: string) => `/v2/app/blobs/${digest}?ns=reg.test`;
  {
    await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
    for (const blob of [kept, lost]) await (await cache.get(path(blob.digest))).bytes();
  }
  using index = new Database(join(data.file("d"), "index.db"));
  index.run("DELETE FROM contents WHERE digest = ?", [kept.digest]);
  for (const file of await storedBlobs(data.file("d"))) {
    if (file.digest === lost.digest) await Bun.file(file.path).delete();
  }
  await using cache = await startEntrepot({ config: config(upstream), data: data.file("d") });
  const line = await cache.logged("index and files agree");
  expect(line).toMatchObject({ found: 1, lost: 1 });
  const digests = index.query("SELECT digest FROM contents").values().flat();
  expect(digests).toEqual([kept.digest]);
}, 60_000);

test("a purge leaves alone what is being filled, and says so", async () => {
  await using upstream = await startScriptedUpstream();
  const image = await bigImage({ size: 8 * MIB });
  upstream.add("app", image, "1");
  await using cache = await startEntrepot({ config: config(upstream) });
  await (await cache.get("/v2/app/manifests/1?ns=reg.test")).bytes();
  const layer = image.blobs.find(({ size }) => size > 8 * MIB);
  if (!layer) throw new Error("the image has no large layer");
  upstream.respond(() => faults.stallAfter(4 * MIB));
  const response = await cache.get(`/v2/app/blobs/${layer.digest}?ns=reg.test`);
  const body = response.bytes();
  const purged = await command(cache, "purge", "reg.test/app:1");
  expect(purged.code).toBe(0);
  upstream.release();
  expect(Buffer.compare(await body, bytesOf(layer))).toBe(0);
  expect(await verifyStore(cache.data)).toEqual([layer.digest]);
}, 60_000);

test("a folder that cannot be used is refused and left as it was", async () => {
  await using dir = await tempDir("data");
  const newer = dir.file("newer");
  await mkdir(newer);
  await writeFile(join(newer, "format"), "2\n");
  const serve = (data: string) =>
    run([entrepot, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", data]);
  const refused = await serve(newer);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toBe(
    `entrepot: the data directory ${newer} was written by a newer Entrepot: it has format 2, and this one knows 1. Run that version, or use another storage.dir\n`,
  );
  expect(await readdir(newer)).toEqual(["format"]);
  const away = await run([entrepot, "ls", "--data", dir.file("none"), "--admin", "127.0.0.1:1"]);
  expect(away.code).toBe(1);
  expect(away.stderr).toContain("does not exist: name its --config, --admin or --data");
  await chmod(newer, 0o700);
});

test("adopt refuses what is no registry, or none of ours", async () => {
  await using dir = await tempDir("data");
  const adopt = (...args: string[]) =>
    run([entrepot, "adopt", ...args, "--data", dir.file("d"), "--admin", "127.0.0.1:1"]);
  const none = await adopt(dir.path, "--upstream", "docker.io");
  expect(none.code).toBe(1);
  expect(none.stderr).toContain("is no registry's folder: it has no docker/registry/v2");
  const foreign = await adopt(dir.path, "--upstream", "reg.test");
  expect(foreign.code).toBe(1);
  expect(foreign.stderr).toContain("reg.test is not configured");
  expect((await adopt(dir.path)).code).toBe(2);
});

realTest(
  "what a registry:2 proxy has cached is adopted, and served with its upstream away",
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
      // A proxy writes in the background what it has just served.
      await until(
        async () => {
          const found = await readdir(
            join(storage, "docker/registry/v2/repositories/team/app/_layers/sha256"),
          );
          return found.length >= image.children.flatMap((child) => child.blobs).length;
        },
        { what: "the proxy to have written everything" },
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

/** Every file of a folder with its size and when it was last written. */
async function snapshot(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const lines = entries.map(async (entry) => {
    const path = join(entry.parentPath, entry.name);
    const { size, mtimeMs } = await stat(path);
    return `${path} ${entry.isFile() ? size : "folder"} ${mtimeMs}`;
  });
  return (await Promise.all(lines)).sort();
}
