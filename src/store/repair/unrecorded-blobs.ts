import { stat } from "node:fs/promises";
import { join } from "node:path";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { Digest } from "../../oci/digest.ts";
import type { BlobEntry } from "../blob-store.ts";
import { blobFile } from "../disk/blob-file.ts";
import { listDigests } from "../disk/list-blobs.ts";
import { type ReconcileOptions, addUnrecordedBatch } from "./reconcile.ts";

/** How many blobs are looked up at a time. */
const BATCH = 256;

/**
 * Adds the records of stored blobs that have none, as a process that is killed while it stores them leaves them.
 * `reconcile` does that as well, and compares every file with its record.
 *
 * @throws Fault of kind `no-space` or `storage`
 */
export async function recordUnrecorded(
  directory: string,
  options: ReconcileOptions,
): Promise<number> {
  const { signal, yielder = new EventLoopYielder() } = options;
  let batch: Digest[] = [];
  let found = 0;
  for await (const digest of listDigests(directory)) {
    if (signal?.aborted) return found;
    batch.push(digest);
    if (batch.length < BATCH) continue;
    found += await recordBatch(directory, batch, options);
    batch = [];
    await yielder.pause();
  }
  return found + (await recordBatch(directory, batch, options));
}

async function recordBatch(
  directory: string,
  digests: readonly Digest[],
  options: ReconcileOptions,
): Promise<number> {
  const recorded = new Set((await options.metadata.blobs.find(digests)).map((row) => row.digest));
  const entries: BlobEntry[] = [];
  for (const digest of digests) {
    if (recorded.has(digest)) continue;
    // One that is gone by now, or cannot be looked at, is left to the repair.
    const stats = await stat(join(directory, blobFile(digest))).catch(() => undefined);
    if (stats?.isFile()) entries.push({ digest, size: stats.size, storedAt: stats.mtimeMs });
  }
  return entries.length === 0 ? 0 : addUnrecordedBatch(entries, options);
}
