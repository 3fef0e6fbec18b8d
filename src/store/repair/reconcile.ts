import type { Digest } from "../../oci/digest.ts";
import type { BlobEntry, BlobStore } from "../blob-store.ts";
import { EventLoopYielder } from "../event-loop-yielder.ts";
import type { SidecarFiles } from "../disk/sidecar-files.ts";
import { verifyBlob } from "./scrub.ts";
import type { MetadataStore } from "../metadata-store.ts";

/** Contents that are looked up together. */
const BATCH = 64;

export interface Reconciled {
  /** Files that the index did not know. */
  readonly found: number;
  /** Contents of the index whose file is gone. */
  readonly lost: number;
}

export interface ReconcileOptions {
  readonly store: BlobStore;
  readonly metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins">;
  readonly sidecars: SidecarFiles;
  /** Whether a content is just coming or going: its file and its fact may then differ for a moment. */
  readonly inUse: (digest: Digest) => boolean;
  /** Takes away what has another size than when it was stored, and is corrupt indeed. */
  readonly onCorrupt?: (digest: Digest) => Promise<void>;
  readonly yielder?: EventLoopYielder;
  readonly signal?: AbortSignal;
  /** Only tells what it would do. */
  readonly dryRun?: boolean;
}

/**
 * Brings files and index into agreement after whatever happened: files have the last word on bytes.
 * It runs beside traffic.
 */
export async function reconcile(options: ReconcileOptions): Promise<Reconciled> {
  const found = await addUnrecorded(options);
  const lost = await removeLost(options);
  return { found, lost };
}

async function addUnrecorded(options: ReconcileOptions): Promise<number> {
  const { store, yielder = new EventLoopYielder(), signal } = options;
  let batch: BlobEntry[] = [];
  let found = 0;
  for await (const entry of store.entries()) {
    if (signal?.aborted) return found;
    await yielder.pause();
    batch.push(entry);
    if (batch.length < BATCH) continue;
    found += await addUnrecordedBatch(batch, options);
    batch = [];
  }
  return found + (await addUnrecordedBatch(batch, options));
}

async function addUnrecordedBatch(
  batch: readonly BlobEntry[],
  options: ReconcileOptions,
): Promise<number> {
  const { store, metadata, sidecars, inUse, onCorrupt, dryRun } = options;
  const known = new Map(
    (await metadata.blobs.find(batch.map(({ digest }) => digest))).map((row) => [row.digest, row]),
  );
  let found = 0;
  for (const { digest, size, storedAt } of batch) {
    if (known.get(digest)?.size === size || inUse(digest)) continue;
    // What was evicted since it was seen here is no longer known for a good reason.
    const stored = await store.open(digest);
    if (!stored) continue;
    found += 1;
    if (dryRun) continue;
    if (onCorrupt && known.has(digest) && (await verifyBlob(stored)) === false) {
      await onCorrupt(digest);
      continue;
    }
    const mediaType = (await sidecars.read(digest))?.mediaType;
    // Stored when the file was: what nobody has asked for since is not young because it was found.
    await metadata.blobs.put({ digest, size, ...(mediaType ? { mediaType } : {}) }, storedAt);
  }
  return found;
}

async function removeLost(options: ReconcileOptions): Promise<number> {
  const { metadata, store, inUse, yielder = new EventLoopYielder(), dryRun, signal } = options;
  let lost = 0;
  let last: Digest | undefined;
  for (;;) {
    const page = await metadata.blobs.page(BATCH, last);
    last = page.at(-1)?.digest;
    if (last === undefined || signal?.aborted) return lost;
    const missing: Digest[] = [];
    for (const { digest } of page) {
      await yielder.pause();
      // Anew: somebody else may have taken the file away since its size was learnt.
      if (!inUse(digest) && !(await store.open(digest, true))) missing.push(digest);
    }
    // Of these, some were evicted since they were looked for, and some are stored again.
    const until = Math.max(...page.map(({ storedAt }) => storedAt));
    const gone = (await metadata.blobs.find(missing))
      .filter(({ digest, storedAt }) => storedAt <= until && !inUse(digest))
      .map(({ digest }) => digest);
    lost += gone.length;
    if (!dryRun) await metadata.blobs.remove(gone, until);
  }
}
