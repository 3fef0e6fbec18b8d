import type { BlobStore } from "../blob-store.ts";

/** How long a partial download is kept after its last write, in milliseconds. */
const PARTIAL_MAX_AGE = 24 * 3_600_000;

/**
 * Removes partial downloads that were not resumed within 24 hours, or whose blob is stored: from
 * another upstream, while this one was suspended. Those that have a writer are kept.
 *
 * @param now in milliseconds of the epoch
 * @param dryRun only counts what would be removed
 * @returns how many bytes were removed
 */
export async function expirePartials(
  store: Pick<BlobStore, "open" | "partials" | "removePartial">,
  now: number,
  dryRun = false,
): Promise<number> {
  let bytes = 0;
  for await (const { name, digest, size, storedAt } of store.partials()) {
    if (now - storedAt < PARTIAL_MAX_AGE && !(await store.open(digest))) continue;
    if (dryRun || (await store.removePartial(name))) bytes += size;
  }
  return bytes;
}
