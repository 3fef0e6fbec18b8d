import type { Digest } from "../../oci/digest.ts";
import type { SharedStore } from "../shared-store/shared-store.ts";
import { SharedStoreError } from "../shared-store/shared-store-error.ts";

/** How many requests a batch may take of which some objects must not be deleted. */
const MAX_REQUESTS = 64;

export interface Deletion {
  readonly deleted: readonly Digest[];
  /** Those that the store refuses to delete, one by one, while it deletes others. */
  readonly refused: readonly Digest[];
  /** Why the last one that failed did. */
  readonly error: unknown;
}

/**
 * Deletes objects. One that is locked must not keep the others of its batch, so a batch that is refused is
 * divided. Of a store that deletes nothing, a few requests are enough to know.
 *
 * @param mayGoOn is asked right before each request
 */
export async function deleteObjects(
  store: Pick<SharedStore, "remove">,
  digests: readonly Digest[],
  signal: AbortSignal,
  mayGoOn: () => boolean,
): Promise<Deletion> {
  const deleted: Digest[] = [];
  const refused: Digest[] = [];
  let error: unknown;
  const batches: (readonly Digest[])[] = [digests];
  for (let request = 0; request < MAX_REQUESTS; request += 1) {
    const batch = batches.shift();
    if (!batch || signal.aborted || !mayGoOn()) break;
    try {
      await store.remove(batch, signal);
      deleted.push(...batch);
    } catch (cause) {
      error = cause;
      if (!isDenial(cause)) break;
      const half = Math.ceil(batch.length / 2);
      if (batch.length === 1) refused.push(...batch);
      else batches.push(batch.slice(0, half), batch.slice(half));
    }
  }
  return { deleted, refused: deleted.length > 0 ? refused : [], error };
}

export function isDenial(error: unknown): error is SharedStoreError {
  return error instanceof SharedStoreError && error.problem.kind === "denied";
}
