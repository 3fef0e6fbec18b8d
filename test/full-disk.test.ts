import { afterEach, beforeEach, expect, test } from "bun:test";
import { rm, writeFile } from "node:fs/promises";
import { command } from "./harness/commands.ts";
import { bytesOf, randomContent } from "./harness/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/entrepot.ts";
import * as faults from "./harness/faults.ts";
import { textImage } from "./harness/images.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { mustRun, run } from "./harness/processes.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { unfinishedFills, verifyStore } from "./harness/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const DISK = 48 * MIB;
const FULL = "entrepot_storage_full";

let disk: TempDir;
let canMount = false;
beforeEach(async () => {
  disk = await tempDir("disk");
  const mount = ["mount", "-t", "tmpfs", "-o", `size=${DISK}`, "tmpfs", disk.path];
  canMount = (await run(mount)).code === 0;
});
afterEach(async () => {
  if (canMount) await mustRun(["umount", "-l", disk.path]);
  await disk[Symbol.asyncDispose]();
});

const rootTest = process.getuid?.() === 0 ? test : test.skip;

async function metric(cache: Entrepot, name: string): Promise<number> {
  const text = await (await cache.getAdmin("/metrics")).text();
  return Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1] ?? 0);
}

async function expectWarnedOnce(cache: Entrepot): Promise<void> {
  const message =
    "nothing can be stored: pulls are streamed without being stored until there is space again";
  await cache.logged(message);
  const warnings = cache.logs().filter((line) => line["level"] === "warn");
  expect(warnings.map((line) => line["msg"])).toEqual([message]);
}

function config(upstream: ScriptedUpstream): object {
  // minFree is 0, so that writes fail on the full disk before the cache's own limit applies.
  return {
    storage: { maxSize: "1GiB", minFree: 0 },
    upstreams: { "reg.test": localUpstream(upstream.url) },
  };
}

rootTest(
  "while another process fills the disk, pulls are streamed uncached; with free space they are stored again",
  async () => {
    if (!canMount) throw new Error("this user is root, but may not mount a tmpfs");
    await using upstream = await startScriptedUpstream();
    const [large, small, later] = [
      randomContent(30 * MIB, 1),
      randomContent(MIB, 2),
      randomContent(6 * MIB, 3),
    ];
    for (const blob of [large, small, later]) upstream.addBlob("app", blob);
    const image = textImage();
    upstream.add("app", image, "1");
    const data = disk.file("data");
    await using cache = await startEntrepot({ config: config(upstream), data });
    const path = (digest: string) => `/v2/app/blobs/${digest}?ns=reg.test`;

    // Two clients follow one fill; another process fills the disk before the fill is complete.
    upstream.respond(({ nth }) => (nth === 1 ? faults.stallAfter(8 * MIB) : undefined));
    const clients = await Promise.all([
      cache.get(path(large.digest)),
      cache.get(path(large.digest)),
    ]);
    const bodies = clients.map((response) => response.bytes());
    await until(() => upstream.requests({ kind: "blob" })[0]?.sent === 8 * MIB, { what: "8 MiB" });
    await fill(disk.file("filler"));
    upstream.respond();
    upstream.release();
    for (const body of bodies) expect(Buffer.compare(await body, bytesOf(large))).toBe(0);
    // The space of the partial download is taken as well: two seconds later, storing is tried again.
    await until(async () => (await unfinishedFills(data)).length === 0, { what: "its end" });
    await fill(disk.file("another-filler"));
    expect(await metric(cache, FULL)).toBe(1);
    // The reason is the failed write, or the free space if it was measured since.
    const status = await command(cache, "status");
    expect([status.code, status.stdout]).toEqual([
      1,
      expect.stringMatching(
        /, FULL(?:, \d+ of \d+ inodes free)?\n[\s\S]*\nProblems:\n {2}nothing can be stored, .*(?:ENOSPC|the disk has .* free)/,
      ),
    ]);

    // Everything is streamed uncached: a small blob with its length, a manifest, and a large blob.
    const smallBlob = await cache.get(path(small.digest));
    expect(smallBlob.headers.get("content-length")).toBe(String(MIB));
    expect(Buffer.compare(await smallBlob.bytes(), bytesOf(small))).toBe(0);
    const manifest = await cache.get("/v2/app/manifests/1?ns=reg.test");
    expect(manifest.status).toBe(200);
    expect(manifest.headers.get("cache-status")).toContain("detail=unstored");
    expect(Buffer.compare(await manifest.bytes(), image.manifest.bytes)).toBe(0);
    const repeated = await cache.get(path(large.digest));
    expect(repeated.headers.get("cache-status")).toContain("detail=unstored");
    expect(Buffer.compare(await repeated.bytes(), bytesOf(large))).toBe(0);
    await expectWarnedOnce(cache);

    // Storing resumes without intervention.
    for (const name of ["filler", "another-filler"]) await rm(disk.file(name));
    await cache.logged("there is space again: pulled blobs are stored", 15_000);
    expect(await metric(cache, FULL)).toBe(0);
    await (await cache.get(path(later.digest))).bytes();
    await until(
      async () =>
        (await cache.get(path(later.digest))).headers.get("cache-status")?.includes("hit"),
      { what: "a hit for the blob that was stored since" },
    );
    await verifyStore(data);
    await rm(data, { recursive: true });
  },
  60_000,
);

rootTest(
  "a blob that fits once is stored once by one of two registries, and takes no space for the other",
  async () => {
    if (!canMount) throw new Error("this user is root, but may not mount a tmpfs");
    await using first = await startScriptedUpstream();
    await using second = await startScriptedUpstream();
    const [large, later] = [randomContent(30 * MIB, 11), randomContent(12 * MIB, 12)];
    for (const upstream of [first, second]) upstream.addBlob("app", large);
    second.addBlob("app", later);
    const upstreams = { "a.test": localUpstream(first.url), "b.test": localUpstream(second.url) };
    const data = disk.file("two");
    await using cache = await startEntrepot({ config: { ...config(first), upstreams }, data });
    const get = (ns: string, digest: string) => cache.get(`/v2/app/blobs/${digest}?ns=${ns}`);
    first.respond(() => faults.stallAfter(8 * MIB));
    const slow = await get("a.test", large.digest);
    // Both would take 60 MiB of 48: whatever does not fit is streamed.
    const quick = await get("b.test", large.digest);
    expect(Buffer.compare(await quick.bytes(), bytesOf(large))).toBe(0);
    first.release();
    expect(Buffer.compare(await slow.bytes(), bytesOf(large))).toBe(0);
    // Nothing stays reserved, and no partial file is left.
    await until(async () => (await metric(cache, "entrepot_fills_active")) === 0, {
      what: "the end",
    });
    expect(await metric(cache, "entrepot_storage_partial_bytes")).toBe(0);
    await (await get("b.test", later.digest)).bytes();
    await until(
      async () => (await get("b.test", later.digest)).headers.get("cache-status")?.includes("hit"),
      { what: "a hit for the blob that was pulled later" },
    );
    expect(await verifyStore(data)).toContain(later.digest);
    await rm(data, { recursive: true });
  },
  60_000,
);

rootTest(
  "a corrupt blob that is streamed uncached is not sent completely",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(8 * MIB, 5);
    upstream.addBlob("app", blob);
    await using cache = await startEntrepot({ config: config(upstream), data: disk.file("other") });
    const filler = disk.file("filler");
    await fill(filler);
    upstream.respond(() => ({ flipBitAt: 100 }));
    const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
    let received = 0;
    try {
      for await (const chunk of response.body ?? []) received += chunk.byteLength;
    } catch {
      // The connection ends before the body is complete, as intended.
    }
    expect(received).toBeLessThan(blob.size);
    await rm(filler);
  },
  60_000,
);

rootTest(
  "with a full disk at the start, pulls are streamed uncached",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(5 * MIB, 6);
    upstream.addBlob("app", blob);
    const data = disk.file("third");
    await using cache = await startEntrepot({
      config: { ...config(upstream), storage: { maxSize: "1GiB", minFree: DISK } },
      data,
    });
    const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
    expect(Buffer.compare(await response.bytes(), bytesOf(blob))).toBe(0);
    expect(await verifyStore(data)).toEqual([]);
    await writeFile(disk.file("still-works"), "yes");
  },
  60_000,
);

rootTest(
  "a disk that fills up while all requests are hits is warned of once, not for each metadata write",
  async () => {
    if (!canMount) throw new Error("this user is root, but may not mount a tmpfs");
    await using upstream = await startScriptedUpstream();
    const image = textImage();
    upstream.add("app", image, "1");
    const settings = {
      storage: { maxSize: "1GiB", minFree: 0, scrub: 0 },
      upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: 0 } },
    };
    await using cache = await startEntrepot({ config: settings, data: disk.file("data") });
    const pulled = async (): Promise<number> => {
      const response = await cache.get("/v2/app/manifests/1?ns=reg.test");
      await response.bytes();
      return response.status;
    };
    expect(await pulled()).toBe(200);
    const filler = disk.file("filler");
    await mustRun(["sh", "-c", `dd if=/dev/zero of=${filler} bs=4k 2>/dev/null || true`]);
    // Each pull updates the tag's record.
    const isFull = async () => (await pulled()) === 200 && (await metric(cache, FULL)) === 1;
    await until(isFull, { what: "the cache to notice the full disk" });
    for (let at = 0; at < 20; at += 1) expect(await pulled()).toBe(200);
    await expectWarnedOnce(cache);
    await rm(filler);
    await cache.logged("there is space again: pulled blobs are stored", 15_000);
  },
  60_000,
);

rootTest(
  "a cache that is started on a full disk serves what it has, and stores again once there is space",
  async () => {
    if (!canMount) throw new Error("this user is root, but may not mount a tmpfs");
    await using upstream = await startScriptedUpstream();
    const image = textImage();
    upstream.add("app", image, "1");
    const [old, later] = [randomContent(MIB, 1), randomContent(MIB, 2)];
    for (const blob of [old, later]) upstream.addBlob("app", blob);
    const data = disk.file("data");
    const path = (digest: string): string => `/v2/app/blobs/${digest}?ns=reg.test`;
    const manifestPath = "/v2/app/manifests/1?ns=reg.test";
    {
      await using cache = await startEntrepot({ config: config(upstream), data });
      for (const one of [manifestPath, path(old.digest)]) await (await cache.get(one)).bytes();
      expect(await cache.stop()).toBe(0);
    }
    const filler = disk.file("filler");
    await fill(filler);

    await using cache = await startEntrepot({ config: config(upstream), data });
    await upstream.stop();
    expect(await (await cache.get(manifestPath)).bytes()).toEqual(image.manifest.bytes);
    const blob = await cache.get(path(old.digest));
    expect(blob.headers.get("cache-status")).toContain("hit");
    expect(Buffer.compare(await blob.bytes(), bytesOf(old))).toBe(0);
    await upstream.start();
    const status = await command(cache, "status");
    expect([status.code, status.stdout]).toEqual([
      1,
      expect.stringMatching(
        /Problems:\n {2}nothing can be stored, .*the disk is full \(ENOSPC\)\n/,
      ),
    ]);
    const streamed = await cache.get(path(later.digest));
    expect(streamed.headers.get("cache-status")).toContain("detail=unstored");
    expect(Buffer.compare(await streamed.bytes(), bytesOf(later))).toBe(0);
    await expectWarnedOnce(cache);

    await rm(filler);
    await cache.logged("there is space again: pulled blobs are stored", 15_000);
    await (await cache.get(path(later.digest))).bytes();
    const isHit = async (): Promise<boolean | undefined> =>
      (await cache.get(path(later.digest))).headers.get("cache-status")?.includes("hit");
    await until(isHit, { what: "a hit for the blob that was stored since" });
    // Its record is there, so that it can be evicted.
    expect(await cache.stop()).toBe(0);
    await using restarted = await startEntrepot({ config: config(upstream), data });
    const list = await command(restarted, "status", "--json");
    expect(JSON.parse(list.stdout)).toMatchObject({ storage: { blobs: 3 }, problems: [] });
  },
  60_000,
);

rootTest(
  "a cache that is started on a full disk evicts what it must to store again",
  async () => {
    if (!canMount) throw new Error("this user is root, but may not mount a tmpfs");
    await using upstream = await startScriptedUpstream();
    const blobs = Array.from({ length: 6 }, (_, at) => randomContent(2 * MIB, at));
    const fresh = randomContent(MIB, 9);
    for (const blob of [...blobs, fresh]) upstream.addBlob("app", blob);
    const data = disk.file("data");
    const path = (digest: string): string => `/v2/app/blobs/${digest}?ns=reg.test`;
    const evicting = {
      storage: { maxSize: "1GiB", minFree: "4MiB" },
      upstreams: { "reg.test": localUpstream(upstream.url) },
    };
    {
      await using cache = await startEntrepot({ config: evicting, data });
      for (const { digest } of blobs) await (await cache.get(path(digest))).bytes();
      expect(await cache.stop()).toBe(0);
    }
    await fill(disk.file("filler"));

    await using cache = await startEntrepot({ config: evicting, data });
    const isStored = async (): Promise<boolean | undefined> => {
      const response = await cache.get(path(fresh.digest));
      expect(Buffer.compare(await response.bytes(), bytesOf(fresh))).toBe(0);
      return response.headers.get("cache-status")?.includes("hit");
    };
    await until(isStored, { what: "a blob to be stored", within: 20_000 });
    const stored = new Set((await verifyStore(data)).map(String));
    expect(blobs.filter(({ digest }) => stored.has(digest)).length).toBeGreaterThan(0);
    const status = await command(cache, "status", "--json");
    expect(JSON.parse(status.stdout)).toMatchObject({ storage: { blobs: stored.size } });
  },
  60_000,
);

/** Another process takes all space that is left. */
async function fill(path: string): Promise<void> {
  await mustRun(["sh", "-c", `dd if=/dev/zero of=${path} bs=1M 2>/dev/null || true`]);
}
