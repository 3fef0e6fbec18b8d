import type { SharedStoreSettings } from "../config/cluster-settings.ts";
import { digestOf } from "../oci/digest.ts";
import type { ClusterProblemKind } from "./cluster-problems.ts";
import { problemKindOf, s3StoreOf } from "./open-shared-store.ts";
import { SharedStoreError } from "./shared-store/shared-store-error.ts";

/** What is written and removed again, to see whether the store takes it. */
const BYTES = new TextEncoder().encode("written by entrepot doctor\n");

export type ProbedStore =
  { readonly kind: "ok" } | { readonly kind: ClusterProblemKind; readonly reason: string };

/** How long each of that may take, in milliseconds. */
const TIMEOUT_MS = 5000;

/** Lists a shared store, writes to it, reads that and removes it, once. Never rejects. */
export async function probeSharedStore(
  settings: SharedStoreSettings,
  milliseconds = TIMEOUT_MS,
): Promise<ProbedStore> {
  const store = s3StoreOf(settings);
  const inTime = (): AbortSignal => AbortSignal.timeout(milliseconds);
  let operation: "read" | "write" | "remove" = "read";
  try {
    for await (const _ of store.list(undefined, inTime())) break;
    operation = "write";
    const digest = digestOf(BYTES);
    const size = BYTES.byteLength;
    const bytes = new Blob([BYTES]);
    await store.write({ digest, size, bytes, isInMemory: true }, inTime());
    operation = "read";
    await store.size(digest, inTime());
    operation = "remove";
    await store.remove([digest], inTime());
    return { kind: "ok" };
  } catch (error) {
    if (error instanceof DOMException && error.name === "TimeoutError") {
      return { kind: "store-away", reason: `it did not answer within ${milliseconds / 1000} s` };
    }
    if (!(error instanceof SharedStoreError)) throw error;
    const { problem, detail: reason } = error;
    if (operation !== "remove") return { kind: problemKindOf(operation, problem), reason };
    const isDenied = problem.kind === "denied";
    return { kind: isDenied ? "store-undeletable" : problemKindOf("write", problem), reason };
  } finally {
    store.close();
  }
}
