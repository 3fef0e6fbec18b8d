import { expect, test } from "bun:test";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { command } from "./harness/cache/commands.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { bigImage, multiPlatformImage, textImage } from "./harness/images/images.ts";
import { pull } from "./harness/cache/pull.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const entrepot = new URL("../bin/entrepot", import.meta.url).pathname;

function config(upstream: ScriptedUpstream, storage: object = {}): object {
  return {
    storage: { scrub: 0, ...storage },
    upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
  };
}

test("ls, pin, purge and unpin list and change what is cached", async () => {
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
  expect(lines[1]).toMatch(/^reg\.test\/app +1 +linux\/amd64 /);
  expect(lines[3]).toMatch(/^reg\.test\/tools\/many +latest +linux\/amd64, linux\/arm64 /);
  const json: unknown = JSON.parse((await command(cache, "ls", "--json", "reg.test/app:1")).stdout);
  expect(json).toMatchObject({
    images: [{ image: "reg.test/app", tag: "1", digest: one.manifest.digest }],
  });

  const nothing = await command(cache, "pin", "reg.test/none:*");
  expect([nothing.code, nothing.stdout]).toEqual([
    0,
    "Pinned reg.test/none:*: no cached image matches it yet; images that are pulled from now on are kept.\n",
  ]);
  const foreign = await command(cache, "pin", "none");
  expect([foreign.code, foreign.stdout]).toEqual([
    0,
    "Pinned docker.io/library/none:*: no image can match it, since docker.io is not a configured upstream. Configured upstreams: reg.test.\n",
  ]);
  expect((await command(cache, "unpin", "none")).code).toBe(0);
  const typo = await command(cache, "pin", "reg.test/app:1", "--platform", "amd64");
  expect([typo.code, typo.stderr]).toEqual([
    2,
    'entrepot: "amd64" is not a valid platform: write os/architecture, such as linux/amd64\n',
  ]);
  expect((await command(cache, "pin", "reg.test/app:1")).stdout).toBe(
    "Pinned reg.test/app:1: 1 image.\n",
  );
  expect((await command(cache, "pin")).stdout).toContain("reg.test/app:1 ");
  const refused = await command(cache, "purge", "reg.test/app");
  expect([refused.code, refused.stderr]).toEqual([
    1,
    "entrepot: reg.test/app:1 is pinned by reg.test/app:1: run entrepot unpin 'reg.test/app:1' first\n",
  ]);
  expect((await command(cache, "purge", "reg.test/app:2")).stdout).toStartWith(
    "Removed reg.test/app:2\n",
  );
  const digests = (await storedBlobs(cache.data)).map(({ digest }) => digest);
  expect(digests).not.toContain(two.manifest.digest);
  expect(digests).toContain(one.manifest.digest);
  await pull(cache, "app", "2", two);
  expect((await command(cache, "unpin", "reg.test/app:1")).code).toBe(0);
  const gone = await command(cache, "unpin", "reg.test/app:1");
  expect([gone.code, gone.stderr]).toEqual([
    1,
    "entrepot: there is no pin reg.test/app:1: name one of reg.test/none:*\n",
  ]);
  expect((await command(cache, "purge", "reg.test/none")).code).toBe(1);
  expect((await command(cache, "purge", "a b")).code).toBe(2);
  expect((await command(cache, "gc", "--dry-run")).stdout).toBe(
    "Nothing to evict: the store is within its limits.\n",
  );
}, 60_000);

test("a pin that exceeds maxSize is rejected, with the total size of all pins", async () => {
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
    /^entrepot: with reg\.test\/huge:1, all pins together would take [34]\.\d MiB \(\d{7} bytes\), but storage\.maxSize is 1 MiB \(1048576 bytes\): pin fewer images, limit the pin to some platforms, or raise storage\.maxSize\n$/,
  );
}, 60_000);

test("status reports pins that leave no space for anything else", async () => {
  await using upstream = await startScriptedUpstream();
  const image = await bigImage({ size: 3 * MIB });
  upstream.add("large", image, "1");
  const bytes = image.blobs.reduce((sum, { size }) => sum + size, image.manifest.size);
  const maxSize = `${Math.ceil((1.02 * bytes) / 1024)}KiB`;
  await using cache = await startEntrepot({ config: config(upstream, { maxSize, minFree: 0 }) });
  await (await cache.get("/v2/large/manifests/1?ns=reg.test")).bytes();
  expect((await command(cache, "status")).code).toBe(0);
  expect((await command(cache, "pin", "reg.test/large:1")).code).toBe(0);
  const status = await command(cache, "status");
  expect(status.code).toBe(1);
  expect(status.stdout.split("Problems:\n")[1]).toMatch(
    /^ {2}little else can be stored, so other pulls are streamed from the registries: (\S+ MiB) of \S+ MiB are pinned\. Unpin images, pin fewer platforms, or raise storage\.maxSize\n$/,
  );
}, 60_000);

test("a data directory in use by an unreachable cache is rejected, and its process is named", async () => {
  await using upstream = await startScriptedUpstream();
  await using cache = await startEntrepot({ config: config(upstream) });
  const listed = await run([entrepot, "ls", "--data", cache.data, "--admin", "127.0.0.1:1"]);
  expect([listed.code, listed.stdout]).toEqual([1, ""]);
  expect(listed.stderr).toMatch(
    /^entrepot: \S+ is in use by process \d+, and no cache responds at http:\/\/127\.0\.0\.1:1\/api\/v1\/: give the --admin or --config of the running cache, or wait if it is a command such as fsck\n$/,
  );
  expect((await command(cache, "status")).stdout).toContain(
    " used (0 %): 0 blobs, 0 B downloading, ",
  );
});

test("a pinned image survives the eviction of everything else", async () => {
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

test("an upstream's maxAge evicts its own blobs, but not one that another upstream shares", async () => {
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
    { what: "the blob past maxAge to be evicted" },
  );
  await other.stop();
  const still = await cache.get(`/v2/app/blobs/${shared.digest}?ns=other.test`);
  expect(Buffer.compare(await still.bytes(), bytesOf(shared))).toBe(0);
}, 60_000);

test("a purge skips a blob that is being filled, and reports it", async () => {
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
  expect(purged.stdout).toContain(
    "\n1 blob is being downloaded or read, and stays until evicted like any other.\n",
  );
  upstream.release();
  expect(Buffer.compare(await body, bytesOf(layer))).toBe(0);
  const isStored = async () => (await storedBlobs(cache.data)).length === 1;
  await until(isStored, { what: "the layer is stored" });
  expect(await verifyStore(cache.data)).toEqual([layer.digest]);
}, 60_000);

test("an unusable data directory is rejected and left unchanged", async () => {
  await using dir = await tempDir("data");
  const newer = dir.file("newer");
  await mkdir(newer);
  await writeFile(join(newer, "format"), "3\n");
  const serve = (data: string) =>
    run([entrepot, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", data]);
  const refused = await serve(newer);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toBe(
    `entrepot: the data directory ${newer} was written by a newer Entrepot: it has format 3, and this version supports format 2. Run the newer version, or set storage.dir to another directory\n`,
  );
  expect(await readdir(newer)).toEqual(["format"]);
  const missing = await run([entrepot, "ls", "--data", dir.file("none"), "--admin", "127.0.0.1:1"]);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain("does not exist: give its --config, --admin or --data");
  const foreign = dir.file("foreign");
  await mkdir(foreign);
  await writeFile(join(foreign, "letter"), "not ours");
  const result = await run([entrepot, "gc", "--data", foreign, "--admin", "127.0.0.1:1"]);
  expect(result.code).toBe(1);
  expect(result.stderr).toEndWith(
    `${foreign} is not the data directory of a cache: give its --config, --admin or --data\n`,
  );
  expect(await readdir(foreign)).toEqual(["letter"]);
});

test("what its registry has deleted is served by digest until it is purged", async () => {
  await using upstream = await startScriptedUpstream();
  const image = textImage({ text: "deleted" });
  upstream.add("app", image, "1");
  await using cache = await startEntrepot({ config: config(upstream, {}) });
  const { digest } = image.manifest;
  const path = `/v2/app/manifests/${digest}?ns=reg.test`;
  const get = async (): Promise<number> => (await cache.get(path)).status;
  expect(await get()).toBe(200);
  upstream.respond(() => faults.errorResponse(404));
  upstream.forget();
  expect((await cache.get(path, { method: "DELETE" })).status).toBe(405);
  expect(await get()).toBe(200);
  expect(upstream.requests()).toEqual([]);
  expect((await command(cache, "purge", `reg.test/app@${digest}`)).code).toBe(0);
  expect(await get()).toBe(404);
});

test("a purge keeps what other images of the same repository lead to", async () => {
  await using upstream = await startScriptedUpstream();
  const many = await multiPlatformImage();
  const [child] = many.children;
  if (!child) throw new Error("unreachable");
  upstream.add("app", many, "1", "2");
  upstream.add("app", child, "amd64");
  upstream.add("other", many, "1");
  await using cache = await startEntrepot({ config: config(upstream) });
  await pull(cache, "app", "1", many);
  await pull(cache, "app", "2", many);
  await pull(cache, "app", "amd64", child);
  await pull(cache, "other", "1", many);
  for (const pattern of ["reg.test/app:1", "reg.test/app:amd64", "reg.test/other:*"]) {
    const { stdout } = await command(cache, "purge", pattern, "--json");
    expect(JSON.parse(stdout)).toMatchObject({ blobs: 0, busy: 0, images: [expect.any(String)] });
  }
  await upstream.stop();
  const status = async (path: string): Promise<number> =>
    (await cache.head(`/v2/${path}?ns=reg.test`)).status;
  for (const reference of ["2", many.manifest.digest, child.manifest.digest]) {
    expect(await status(`app/manifests/${reference}`)).toBe(200);
  }
  for (const path of ["app/manifests/1", "app/manifests/amd64", "other/manifests/1"]) {
    expect(await status(path)).not.toBe(200);
  }
  const { stdout } = await command(cache, "ls", "--json");
  expect(JSON.parse(stdout)).toMatchObject({
    images: [{ image: "reg.test/app", tag: "2", shared: 0 }],
  });
}, 60_000);
