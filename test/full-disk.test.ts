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
import { verifyStore } from "./harness/store-files.ts";
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

const mountable = process.getuid?.() === 0 ? test : test.skip;

async function metric(cache: Entrepot, name: string): Promise<number> {
  const text = await (await cache.getAdmin("/metrics")).text();
  return Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1] ?? 0);
}

async function expectToldOnce(cache: Entrepot): Promise<void> {
  const said = "nothing can be stored: pulls are passed through until there is room again";
  await cache.logged(said);
  const told = cache.logs().filter((line) => line["level"] === "warn");
  expect(told.map((line) => line["msg"])).toEqual([said]);
}

function config(upstream: ScriptedUpstream): object {
  // Nothing is kept free, so that it is the disk that says no and not our own bound.
  return {
    storage: { maxSize: "1GiB", minFree: 0 },
    upstreams: { "reg.test": localUpstream(upstream.url) },
  };
}

mountable(
  "a disk that others fill in the middle of a fill, and free again",
  async () => {
    if (!canMount) throw new Error("this user is root, and may not mount a tmpfs");
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

    // Two clients follow one fill; others fill the disk before it is done.
    upstream.respond(({ nth }) => (nth === 1 ? faults.stallAfter(8 * MIB) : undefined));
    const clients = await Promise.all([
      cache.get(path(large.digest)),
      cache.get(path(large.digest)),
    ]);
    const bodies = clients.map((response) => response.bytes());
    await until(() => upstream.requests({ kind: "blob" })[0]?.sent === 8 * MIB, { what: "8 MiB" });
    const filler = disk.file("filler");
    await mustRun(["sh", "-c", `dd if=/dev/zero of=${filler} bs=1M 2>/dev/null || true`]);
    upstream.respond();
    upstream.release();
    for (const body of bodies) expect(Buffer.compare(await body, bytesOf(large))).toBe(0);
    expect(await metric(cache, FULL)).toBe(1);
    // A write that fails says it, or what is free, where that was measured since.
    const status = await command(cache, "status");
    expect([status.code, status.stdout]).toEqual([
      1,
      expect.stringMatching(
        /, FULL\n[\s\S]*\nWrong:\n {2}nothing can be stored, .*(?:ENOSPC|has 0 B free)/,
      ),
    ]);

    // Everything is passed through: a small blob with its length, a part of a large one, a manifest.
    const whole = await cache.get(path(small.digest));
    expect(whole.headers.get("content-length")).toBe(String(MIB));
    expect(Buffer.compare(await whole.bytes(), bytesOf(small))).toBe(0);
    const manifest = await cache.get("/v2/app/manifests/1?ns=reg.test");
    expect(manifest.status).toBe(200);
    expect(manifest.headers.get("cache-status")).toContain("detail=unstored");
    expect(Buffer.compare(await manifest.bytes(), image.manifest.bytes)).toBe(0);
    const again = await cache.get(path(large.digest));
    expect(again.headers.get("cache-status")).toContain("detail=unstored");
    expect(Buffer.compare(await again.bytes(), bytesOf(large))).toBe(0);
    await expectToldOnce(cache);

    // And it comes back by itself.
    await rm(filler);
    await cache.logged("there is room again: what is pulled is stored", 15_000);
    expect(await metric(cache, FULL)).toBe(0);
    await (await cache.get(path(later.digest))).bytes();
    await until(
      async () =>
        (await cache.get(path(later.digest))).headers.get("cache-status")?.includes("hit"),
      { what: "a hit of what was stored since" },
    );
    await verifyStore(data);
    await rm(data, { recursive: true });
  },
  60_000,
);

mountable(
  "what is passed through is not given out whole where it is wrong",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(8 * MIB, 5);
    upstream.addBlob("app", blob);
    await using cache = await startEntrepot({ config: config(upstream), data: disk.file("other") });
    const filler = disk.file("filler");
    await mustRun(["sh", "-c", `dd if=/dev/zero of=${filler} bs=1M 2>/dev/null || true`]);
    upstream.respond(() => ({ flipBitAt: 100 }));
    const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
    let received = 0;
    try {
      for await (const chunk of response.body ?? []) received += chunk.byteLength;
    } catch {
      // The connection ends before the body does, which is the point.
    }
    expect(received).toBeLessThan(blob.size);
    await rm(filler);
  },
  60_000,
);

mountable(
  "a disk that is full at the start is one that only passes through",
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

mountable(
  "a disk that is full while everything is a hit is told of once, and not for each fact",
  async () => {
    if (!canMount) throw new Error("this user is root, and may not mount a tmpfs");
    await using upstream = await startScriptedUpstream();
    const image = textImage();
    upstream.add("app", image, "1");
    const settings = {
      storage: { maxSize: "1GiB", minFree: 0, scrub: 0 },
      upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: 0 } },
    };
    await using cache = await startEntrepot({ config: settings, data: disk.file("data") });
    const pulled = async (): Promise<number> => {
      const answer = await cache.get("/v2/app/manifests/1?ns=reg.test");
      await answer.bytes();
      return answer.status;
    };
    expect(await pulled()).toBe(200);
    const filler = disk.file("filler");
    await mustRun(["sh", "-c", `dd if=/dev/zero of=${filler} bs=4k 2>/dev/null || true`]);
    // Each renews what is known of the tag.
    const full = async () => (await pulled()) === 200 && (await metric(cache, FULL)) === 1;
    await until(full, { what: "a disk that is known to be full" });
    for (let at = 0; at < 20; at += 1) expect(await pulled()).toBe(200);
    await expectToldOnce(cache);
    await rm(filler);
    await cache.logged("there is room again: what is pulled is stored", 15_000);
  },
  60_000,
);
