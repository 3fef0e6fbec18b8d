import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Entrepot } from "./entrepot.ts";
import { storedBlobs } from "./store-files.ts";
import { statusOf } from "./wellness.ts";

const BLOCK = 4096;

/** Where the status differs from the data directory, while nothing is pulled. */
export async function wrongFigures(cache: Entrepot): Promise<readonly string[]> {
  const { storage, fills } = await statusOf(cache);
  const blobs = await storedBlobs(cache.data);
  const folder = join(cache.data, "fills");
  const partials = await Promise.all(
    (await readdir(folder)).map(async (name) => stat(join(folder, name))),
  );
  const figures: readonly [what: string, told: number, found: number][] = [
    ["fills", fills.length, 0],
    ["blobs", storage.blobs, blobs.length],
    ["bytes of blobs", await budgetedBytes(cache), spaceOf(blobs)],
    ["bytes of partial downloads", storage.partialBytes, spaceOf(partials)],
  ];
  return figures
    .filter(([, told, found]) => told !== found)
    .map(([what, told, found]) => `${what}: ${told} instead of ${found}`);
}

/** What eviction goes by. */
async function budgetedBytes(cache: Entrepot): Promise<number> {
  const metrics = await (await cache.getAdmin("/metrics")).text();
  return Number(/^entrepot_storage_blob_bytes (\d+)/m.exec(metrics)?.[1]);
}

function spaceOf(files: readonly { readonly size: number }[]): number {
  return files.reduce((sum, { size }) => sum + Math.ceil(size / BLOCK) * BLOCK, 0);
}
