import type { BlobStore } from "../blob-store.ts";

/** How long a beginning that nobody asked for again is kept, in milliseconds. */
const PARTIAL_MAX_AGE = 24 * 3_600_000;

/** Forgets beginnings that nobody has asked for again. Returns their bytes. */
export async function expirePartials(
  store: Pick<BlobStore, "partials" | "removePartial">,
  now: number,
  dryRun = false,
): Promise<number> {
  let bytes = 0;
  for await (const { digest, size, storedAt } of store.partials()) {
    if (now - storedAt < PARTIAL_MAX_AGE) continue;
    if (dryRun || (await store.removePartial(digest))) bytes += size;
  }
  return bytes;
}
