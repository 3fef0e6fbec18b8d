import { expect, test } from "bun:test";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { digestOf } from "../src/oci/digest.ts";
import { MAX_METADATA } from "../src/store/space/fill-level.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import type { Image } from "./harness/images/images.ts";
import { randomImages, randomNumbers, zipf } from "./harness/images/random-images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { verifyStore } from "./harness/cache/store-files.ts";

/** The full load takes minutes: only in `npm run test:long`. */
const isLong = process.env["ENTREPOT_LONG"] === "1";
const LOAD = isLong
  ? { count: 400, smallest: 10_000, largest: 60_000_000, pulls: 3000 }
  : { count: 60, smallest: 10_000, largest: 5_000_000, pulls: 450 };
const WORKERS = 4;

interface RequestedBlob {
  readonly digest: string;
  readonly size: number;
}

/** The hit ratio of an ideal LRU cache of this size for a trace of requests. */
function simulate(trace: readonly RequestedBlob[], maxSize: number): number {
  const cached = new Map<string, number>();
  let [bytes, hits] = [0, 0];
  for (const { digest, size } of trace) {
    if (cached.delete(digest)) hits += 1;
    else bytes += size;
    cached.set(digest, size);
    for (const [oldest, oldestSize] of cached) {
      if (bytes <= maxSize) break;
      cached.delete(oldest);
      bytes -= oldestSize;
    }
  }
  return hits / trace.length;
}

/** The sizes of all files below a folder, by path. */
async function filesOnDisk(folder: string): Promise<Map<string, number>> {
  const files = new Map<string, number>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(
    () => [],
  )) {
    const path = join(entry.parentPath, entry.name);
    // A file may be evicted after its name was read.
    const stats = entry.isFile() ? await stat(path).catch(() => undefined) : undefined;
    if (stats) files.set(path, stats.size);
  }
  return files;
}

/**
 * The total size of the files that existed throughout. A single listing would count both the files
 * that are deleted while it runs and those that replace them.
 */
async function bytesOnDisk(data: string): Promise<number> {
  const [blobs, fills] = [join(data, "blobs"), join(data, "fills")];
  const before = [await filesOnDisk(fills), await filesOnDisk(blobs)];
  const after = [await filesOnDisk(fills), await filesOnDisk(blobs)];
  let bytes = 0;
  before.forEach((files, at) => {
    for (const [path, size] of files) if (after[at]?.has(path)) bytes += size;
  });
  return bytes;
}

/**
 * Samples the bytes on disk and the bytes that the cache reports; the returned function stops it
 * and gives both maxima.
 */
function watchDisk(cache: Entrepot): () => Promise<{ disk: number; reported: number }> {
  const end = new AbortController();
  const watching = (async () => {
    let [disk, reported] = [0, 0];
    while (!end.signal.aborted) {
      disk = Math.max(disk, await bytesOnDisk(cache.data));
      const metrics = await (await cache.getAdmin("/metrics")).text();
      const numbers = metrics.matchAll(/^entrepot_storage_(?:blob|partial)_bytes (\d+)/gm);
      reported = Math.max(
        reported,
        [...numbers].reduce((sum, match) => sum + Number(match[1]), 0),
      );
      await Bun.sleep(20);
    }
    return { disk, reported };
  })();
  return () => {
    end.abort();
    return watching;
  };
}

/** Pulls an image, verifies every byte, and returns for each request whether it was a hit. */
async function pull(cache: Entrepot, number: number, image: Image): Promise<boolean[]> {
  const hits: boolean[] = [];
  const get = async (path: string, digest: string): Promise<void> => {
    const response = await cache.get(`/v2/${path}?ns=reg.test`);
    const bytes = await response.bytes();
    expect(`${response.status} ${digestOf(bytes)}`).toBe(`200 ${digest}`);
    hits.push((response.headers.get("cache-status") ?? "").includes("; hit"));
  };
  await get(`app${number}/manifests/1`, image.manifest.digest);
  for (const blob of image.blobs) await get(`app${number}/blobs/${blob.digest}`, blob.digest);
  return hits;
}

test(
  `${LOAD.count} images in a store of a quarter of their size: bodies are correct, maxSize holds, the hit ratio is that of an LRU`,
  async () => {
    await using upstream = await startScriptedUpstream();
    const images = randomImages(LOAD);
    images.forEach((image, number) => upstream.add(`app${number}`, image, "1"));
    const blobSizes = new Map(
      images.flatMap((image) =>
        [image.manifest, ...image.blobs].map((one) => [one.digest, one.size]),
      ),
    );
    const total = [...blobSizes.values()].reduce((sum, size) => sum + size, 0);
    const maxSize = Math.floor(total / 4);
    await using cache = await startEntrepot({
      config: {
        storage: { maxSize, minFree: 0 },
        upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
      },
    });
    const stopWatching = watchDisk(cache);
    const random = randomNumbers(7);
    const next = zipf(images.length, 0.9, random);
    // Popularity is independent of the order of creation, so that sizes are mixed.
    const order = images.map((_, at) => at).toSorted(() => random() - 0.5);
    const trace: RequestedBlob[] = [];
    let [requests, hits, pulls] = [0, 0, 0];
    const work = async (): Promise<void> => {
      while (pulls < LOAD.pulls) {
        pulls += 1;
        const number = order[next()] ?? 0;
        const image = images[number];
        if (!image) continue;
        for (const { digest, size } of [image.manifest, ...image.blobs])
          trace.push({ digest, size });
        const found = await pull(cache, number, image);
        requests += found.length;
        hits += found.filter(Boolean).length;
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, work));
    const peak = await stopWatching();
    const ratio = hits / requests;
    const metrics = await (await cache.getAdmin("/metrics")).text();
    // The database, with its write-ahead log, takes up to 16 MiB of this small store.
    const metadata = Number(/^entrepot_storage_metadata_bytes (\d+)/m.exec(metrics)?.[1] ?? NaN);
    const ideal = simulate(trace, maxSize - Math.min(metadata, MAX_METADATA * maxSize));
    const evicted = Number(
      /entrepot_removed_blobs_total\{reason="max-size"\} (\d+)/.exec(metrics)?.[1] ?? 0,
    );
    console.log(
      `${requests} requests, ${(total / 1e6).toFixed(0)} MB with maxSize ${(maxSize / 1e6).toFixed(0)} MB: peak ${(peak.disk / 1e6).toFixed(0)} MB, ${evicted} evicted, hit ratio ${ratio.toFixed(3)}, ideal LRU ${ideal.toFixed(3)}`,
    );
    expect(Math.max(peak.disk, peak.reported)).toBeLessThanOrEqual(maxSize);
    expect(Math.min(peak.disk, peak.reported)).toBeGreaterThan(maxSize / 2);
    expect(evicted).toBeGreaterThan(100);
    expect(Math.abs(ratio - ideal)).toBeLessThan(0.05);
    // A running cache may still be evicting.
    await cache.stop();
    await verifyStore(cache.data);
  },
  isLong ? 1_200_000 : 180_000,
);
