import { expect } from "bun:test";
import { rm, writeFile } from "node:fs/promises";
import { command } from "./harness/cache/commands.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { metric } from "./harness/cache/metrics.ts";
import { mustRun } from "./harness/processes.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import {
  expectWarnedOnce,
  rootTest,
  SmallDisk,
  smallDiskConfig,
} from "./harness/faults/small-disk.ts";
import { unfinishedFills, verifyStore } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const FULL = "entrepot_storage_full";

const DISK = 48 * MIB;
const disk = new SmallDisk(DISK);

rootTest(
  "while another process fills the disk, pulls are streamed uncached; with free space they are stored again",
  async () => {
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
    await using cache = await startEntrepot({ config: smallDiskConfig(upstream), data });
    const path = (digest: string) => `/v2/app/blobs/${digest}?ns=reg.test`;

    // Two clients follow one fill; another process fills the disk before the fill is complete.
    upstream.respond(({ nth }) => (nth === 1 ? faults.stallAfter(8 * MIB) : undefined));
    const clients = await Promise.all([
      cache.get(path(large.digest)),
      cache.get(path(large.digest)),
    ]);
    const bodies = clients.map((response) => response.bytes());
    await until(() => upstream.requests({ kind: "blob" })[0]?.sent === 8 * MIB, { what: "8 MiB" });
    await disk.fill("filler");
    upstream.respond();
    upstream.release();
    for (const body of bodies) expect(Buffer.compare(await body, bytesOf(large))).toBe(0);
    // The space of the partial download is taken as well: two seconds later, storing is tried again.
    await until(async () => (await unfinishedFills(data)).length === 0, { what: "its end" });
    await disk.fill("another-filler");
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
    await cache.logged("pulled blobs are stored again", 15_000);
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
    await using first = await startScriptedUpstream();
    await using second = await startScriptedUpstream();
    const [large, later] = [randomContent(30 * MIB, 11), randomContent(12 * MIB, 12)];
    for (const upstream of [first, second]) upstream.addBlob("app", large);
    second.addBlob("app", later);
    const upstreams = { "a.test": localUpstream(first.url), "b.test": localUpstream(second.url) };
    const data = disk.file("two");
    await using cache = await startEntrepot({
      config: { ...smallDiskConfig(first), upstreams },
      data,
    });
    const get = (ns: string, digest: string) => cache.get(`/v2/app/blobs/${digest}?ns=${ns}`);
    first.respond(() => faults.stallAfter(8 * MIB));
    const slow = await get("a.test", large.digest);
    // Both would take 60 MiB of 48: whatever does not fit is streamed.
    const quick = await get("b.test", large.digest);
    expect(Buffer.compare(await quick.bytes(), bytesOf(large))).toBe(0);
    // Also what is requested after the first part.
    first.respond();
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
    await using cache = await startEntrepot({
      config: smallDiskConfig(upstream),
      data: disk.file("other"),
    });
    const filler = disk.file("filler");
    await disk.fill("filler");
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
      config: { ...smallDiskConfig(upstream), storage: { maxSize: "1GiB", minFree: DISK } },
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
    await cache.logged("pulled blobs are stored again", 15_000);
  },
  60_000,
);
