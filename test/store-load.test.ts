import { expect, test } from "bun:test";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { digestOf } from "../src/oci/digest.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/entrepot.ts";
import type { Image } from "./harness/images.ts";
import { randomImages, randomNumbers, zipf } from "./harness/random-images.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { verifyStore } from "./harness/store-files.ts";

/** The whole load takes minutes: `npm run test:long`. */
const isLong = process.env["ENTREPOT_LONG"] === "1";
const LOAD = isLong
  ? { count: 400, smallest: 10_000, largest: 60_000_000, pulls: 3000 }
  : { count: 120, smallest: 10_000, largest: 6_000_000, pulls: 900 };
const WORKERS = 4;

interface Asked {
  readonly digest: string;
  readonly size: number;
}

/** What an LRU of this size would have had of a trace. */
function simulate(trace: readonly Asked[], bound: number): number {
  const held = new Map<string, number>();
  let [bytes, hits] = [0, 0];
  for (const { digest, size } of trace) {
    if (held.delete(digest)) hits += 1;
    else bytes += size;
    held.set(digest, size);
    for (const [oldest, its] of held) {
      if (bytes <= bound) break;
      held.delete(oldest);
      bytes -= its;
    }
  }
  return hits / trace.length;
}

/** Sizes of files below a folder, by path. */
async function filesOnDisk(folder: string): Promise<Map<string, number>> {
  const files = new Map<string, number>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(
    () => [],
  )) {
    const path = join(entry.parentPath, entry.name);
    // What is evicted between reading its name and its size has none.
    const facts = entry.isFile() ? await stat(path).catch(() => undefined) : undefined;
    if (facts) files.set(path, facts.size);
  }
  return files;
}

/**
 * The bytes of all files that were there throughout: one reading alone counts what went while it
 * read, and what came instead.
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

/** Samples what lies on the disk, and what the cache says of it, until it is stopped; gives the most. */
function watchDisk(cache: Entrepot): () => Promise<{ disk: number; told: number }> {
  const end = new AbortController();
  const watching = (async () => {
    let [disk, told] = [0, 0];
    while (!end.signal.aborted) {
      disk = Math.max(disk, await bytesOnDisk(cache.data));
      const metrics = await (await cache.getAdmin("/metrics")).text();
      const numbers = metrics.matchAll(/^entrepot_storage_(?:held|draft)_bytes (\d+)/gm);
      told = Math.max(
        told,
        [...numbers].reduce((sum, match) => sum + Number(match[1]), 0),
      );
      await Bun.sleep(20);
    }
    return { disk, told };
  })();
  return () => {
    end.abort();
    return watching;
  };
}

/** Asks for all of an image, checks every byte, and tells what of it was a hit. */
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
  `${LOAD.count} images in a quarter of their size: every body right, the bound kept, hits as an LRU has them`,
  async () => {
    await using upstream = await startScriptedUpstream();
    const images = randomImages(LOAD);
    images.forEach((image, number) => upstream.add(`app${number}`, image, "1"));
    const contents = new Map(
      images.flatMap((image) =>
        [image.manifest, ...image.blobs].map((one) => [one.digest, one.size]),
      ),
    );
    const total = [...contents.values()].reduce((sum, size) => sum + size, 0);
    const bound = Math.floor(total / 4);
    await using cache = await startEntrepot({
      config: {
        storage: { maxSize: bound, minFree: 0 },
        upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } },
      },
    });
    const stopWatching = watchDisk(cache);
    const random = randomNumbers(7);
    const next = zipf(images.length, 0.9, random);
    // The most wanted are not the first that were made, so that sizes are mixed.
    const order = images.map((_, at) => at).toSorted(() => random() - 0.5);
    const trace: Asked[] = [];
    let [asked, hits, pulls] = [0, 0, 0];
    const work = async (): Promise<void> => {
      while (pulls < LOAD.pulls) {
        pulls += 1;
        const number = order[next()] ?? 0;
        const image = images[number];
        if (!image) continue;
        for (const { digest, size } of [image.manifest, ...image.blobs])
          trace.push({ digest, size });
        const found = await pull(cache, number, image);
        asked += found.length;
        hits += found.filter(Boolean).length;
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, work));
    const most = await stopWatching();
    const ratio = hits / asked;
    const ideal = simulate(trace, bound);
    const metrics = await (await cache.getAdmin("/metrics")).text();
    const evicted = Number(
      /entrepot_removed_total\{why="max-size"\} (\d+)/.exec(metrics)?.[1] ?? 0,
    );
    console.log(
      `${asked} requests, ${(total / 1e6).toFixed(0)} MB in a bound of ${(bound / 1e6).toFixed(0)} MB: most ${(most.disk / 1e6).toFixed(0)} MB, ${evicted} evicted, hit ratio ${ratio.toFixed(3)}, an LRU's ${ideal.toFixed(3)}`,
    );
    expect(Math.max(most.disk, most.told)).toBeLessThanOrEqual(bound);
    expect(Math.min(most.disk, most.told)).toBeGreaterThan(bound / 2);
    expect(evicted).toBeGreaterThan(100);
    expect(Math.abs(ratio - ideal)).toBeLessThan(0.05);
    // While it runs, it may still be evicting.
    await cache.stop();
    await verifyStore(cache.data);
  },
  isLong ? 1_200_000 : 180_000,
);
