import type { BlobStore } from "../../store/blob-store.ts";
import type { DiskBudget } from "../../store/space/disk-budget.ts";

/** What all stored blobs take on the disk by their files, in bytes: for a database that knows of none. */
export async function spaceOfBlobs(store: BlobStore, budget: DiskBudget): Promise<number> {
  let bytes = 0;
  for await (const { size = 0 } of store.entries()) bytes += budget.spaceOf(size);
  return bytes;
}
