import { expect, test } from "bun:test";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { statusSchema } from "../src/api/status.ts";
import { command } from "./harness/cache/commands.ts";
import { contentOf } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const COUNT = 400;
/** Of the file systems that the tests run on, in bytes. */
const BLOCK = 4096;
const QUOTA_BLOBS = 256;
/** One for each blob, and one for the manifest. */
const SIDECAR_BYTES = (COUNT + 1) * BLOCK;

async function storageOf(cache: Entrepot) {
  const { stdout } = await command(cache, "status", "--json");
  return statusSchema.parse(JSON.parse(stdout)).storage;
}

/** What the files of a folder take on the disk, in bytes. */
async function diskBytes(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true });
  let bytes = 0;
  for (const name of names) {
    const stats = await stat(join(folder, name)).catch(() => undefined);
    if (stats?.isFile()) bytes += stats.blocks * 512;
  }
  return bytes;
}

test("the figures and quotas of many tiny blobs are what they take on the disk", async () => {
  await using upstream = await startScriptedUpstream();
  const blobs = Array.from({ length: COUNT }, (_, at) =>
    contentOf(`tiny ${String(at).padStart(6)}`, "application/octet-stream"),
  );
  const image = textImage({ text: "figures" });
  upstream.add("app", image, "1");
  for (const blob of blobs) upstream.addBlob("app", blob);
  const upstreams = { "reg.test": localUpstream(upstream.url) };
  const storage = { maxSize: "1GiB", scrub: 0 };
  await using cache = await startEntrepot({ config: { storage, upstreams } });
  await (await cache.get("/v2/app/manifests/1?ns=reg.test")).bytes();
  for (const { digest } of blobs) {
    await (await cache.get(`/v2/app/blobs/${digest}?ns=reg.test`)).bytes();
  }
  const figures = await until(
    async () => {
      const now = await storageOf(cache);
      return now.blobs === COUNT + 1 && now.sidecarBytes === SIDECAR_BYTES && now;
    },
    { what: "all blobs to be recorded" },
  );
  expect(figures.blobBytes).toBe(COUNT * 11 + image.manifest.size);
  expect(figures.blobDiskBytes).toBe((COUNT + 1) * BLOCK);
  const { blobDiskBytes, partialBytes, databaseBytes, sidecarBytes, usedBytes } = figures;
  expect(usedBytes).toBe(blobDiskBytes + partialBytes + databaseBytes + sidecarBytes);
  const onDisk = await diskBytes(cache.data);
  expect(Math.abs(usedBytes - onDisk) / onDisk).toBeLessThan(0.05);
  const metrics = await (await cache.getAdmin("/metrics")).text();
  expect(metrics).toMatch(new RegExp(`^entrepot_storage_blob_bytes ${blobDiskBytes}$`, "m"));
  expect(metrics).toMatch(new RegExp(`^entrepot_storage_sidecar_bytes ${SIDECAR_BYTES}$`, "m"));

  // What an earlier process wrote counts as well.
  const again = { config: { storage, upstreams }, data: cache.data };
  await cache.stop();
  await using restarted = await startEntrepot(again);
  await until(async () => (await storageOf(restarted)).sidecarBytes === SIDECAR_BYTES, {
    what: "the sidecar files to be counted",
  });
  expect((await storageOf(restarted)).blobDiskBytes).toBe(blobDiskBytes);
});

test("an upstream's maxSize counts tiny blobs as what they take on the disk", async () => {
  await using upstream = await startScriptedUpstream();
  const blobs = Array.from({ length: 2 * QUOTA_BLOBS }, (_, at) =>
    contentOf(`tiny ${at}`, "application/octet-stream"),
  );
  for (const blob of blobs) upstream.addBlob("app", blob);
  const settings = { ...localUpstream(upstream.url), maxSize: QUOTA_BLOBS * BLOCK };
  const config = { storage: { scrub: 0 }, upstreams: { "small.test": settings } };
  await using cache = await startEntrepot({ config });
  for (const { digest } of blobs) {
    await (await cache.get(`/v2/app/blobs/${digest}?ns=small.test`)).bytes();
  }
  expect((await command(cache, "gc")).code).toBe(0);
  const { blobs: stored } = await storageOf(cache);
  expect(stored).toBeLessThanOrEqual(QUOTA_BLOBS);
  expect(stored).toBeGreaterThan(0.8 * QUOTA_BLOBS);
});
