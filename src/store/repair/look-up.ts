import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobStore, StoredBlob } from "../blob-store.ts";

/**
 * Whether a blob is stored. One whose file cannot be opened is, so that nothing that belongs to it is
 * removed: only a missing file is gone.
 *
 * @param shouldRecheck asks the medium instead of trusting what is cached in memory
 */
export async function isStored(
  store: Pick<BlobStore, "open">,
  digest: Digest,
  shouldRecheck = false,
): Promise<boolean> {
  return (await lookUp(store, digest, shouldRecheck)) !== undefined;
}

/** A stored blob whose file can be opened. */
export async function openReadable(
  store: Pick<BlobStore, "open">,
  digest: Digest,
): Promise<StoredBlob | undefined> {
  const found = await lookUp(store, digest);
  return found === "unreadable" ? undefined : found;
}

async function lookUp(
  store: Pick<BlobStore, "open">,
  digest: Digest,
  shouldRecheck = false,
): Promise<StoredBlob | "unreadable" | undefined> {
  try {
    return await store.open(digest, shouldRecheck);
  } catch (error) {
    if (error instanceof Fault && error.detail.kind === "storage") return "unreadable";
    throw error;
  }
}
