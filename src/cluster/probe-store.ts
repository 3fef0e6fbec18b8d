import type { SharedStoreSettings } from "../config/cluster-settings.ts";
import { digestOf } from "../oci/digest.ts";
import type { ClusterProblemKind } from "./cluster-problems.ts";
import { problemKindOf, s3StoreOf } from "./open-shared-store.ts";
import { SharedStoreError } from "./shared-store/shared-store-error.ts";

/** What is written and removed again, to see whether the store takes it. */
const BYTES = new TextEncoder().encode("written by entrepot doctor\n");

export type ProbedStore =
  { readonly kind: "ok" } | { readonly kind: ClusterProblemKind; readonly reason: string };

/** Reads from a shared store, writes to it and removes that, once. Never rejects. */
export async function probeSharedStore(settings: SharedStoreSettings): Promise<ProbedStore> {
  const store = s3StoreOf(settings);
  let operation: "read" | "write" = "read";
  try {
    for await (const _ of store.list()) break;
    operation = "write";
    const digest = digestOf(BYTES);
    const size = BYTES.byteLength;
    await store.write({ digest, size, bytes: new Blob([BYTES]), isInMemory: true });
    await store.remove([digest]);
    return { kind: "ok" };
  } catch (error) {
    if (!(error instanceof SharedStoreError)) throw error;
    return { kind: problemKindOf(operation, error.problem), reason: error.detail };
  } finally {
    store.close();
  }
}
