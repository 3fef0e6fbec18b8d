import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobEntry, BlobStore } from "../blob-store.ts";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import { manifestTypeOf } from "../sidecars/sidecar.ts";
import type { SidecarFiles } from "../sidecars/sidecar-files.ts";
import { isStored } from "./look-up.ts";
import { verifyStored } from "./scrub.ts";
import type { MetadataStore } from "../metadata-store.ts";

/** How many blobs are looked up at a time. */
const BATCH = 64;

export interface Reconciled {
  /** Blobs whose record was missing, or had another size than the file. */
  readonly found: number;
  /** Records whose blob is not stored any more. */
  readonly lost: number;
}

export interface ReconcileOptions {
  readonly store: BlobStore;
  readonly metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins">;
  readonly sidecars: SidecarFiles;
  /** Whether a blob is being stored or removed, so that its file and its record may differ for a moment. */
  readonly inUse: (digest: Digest) => boolean;
  /** Quarantines a blob that has another size than when it was stored, and was found corrupt. */
  readonly onCorrupt?: (digest: Digest) => Promise<void>;
  readonly yielder?: EventLoopYielder;
  readonly signal?: AbortSignal;
  /** Only counts what it would change. */
  readonly dryRun?: boolean;
}

/**
 * Brings the blob records into agreement with the stored blobs, for example after a crash: adds missing
 * records, and removes those of lost blobs. The files are authoritative. It may run while blobs are
 * stored, evicted and read.
 *
 * @throws Fault of kind `no-space` or `storage`
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
    if (entry.size === undefined) continue;
    batch.push(entry);
    if (batch.length < BATCH) continue;
    found += await addUnrecordedBatch(batch, options);
    batch = [];
  }
  return found + (await addUnrecordedBatch(batch, options));
}

/** Adds the records that are missing among some blobs, or say another size. */
export async function addUnrecordedBatch(
  batch: readonly BlobEntry[],
  options: ReconcileOptions,
): Promise<number> {
  const { store, metadata, sidecars, inUse, onCorrupt, dryRun } = options;
  const records = new Map(
    (await metadata.blobs.find(batch.map(({ digest }) => digest))).map((row) => [row.digest, row]),
  );
  let found = 0;
  for (const { digest, size, storedAt } of batch) {
    if (records.get(digest)?.size === size || inUse(digest)) continue;
    // It may have been evicted since it was listed, and then rightly has no record.
    if (!(await isStored(store, digest))) continue;
    found += 1;
    if (dryRun) continue;
    if (onCorrupt && records.has(digest)) {
      const verdict = await verifyStored(store, digest);
      if (verdict === "corrupt") await onCorrupt(digest);
      // What cannot be read now is looked at again next time.
      if (verdict !== "intact") continue;
    }
    // A blob whose sidecar file cannot be read gets a record as well: without one, it is never evicted.
    const sidecar = await sidecars.read(digest).catch((error: unknown) => {
      if (!(error instanceof Fault)) throw error;
      return undefined;
    });
    const mediaType = manifestTypeOf(sidecar);
    // With the time of the file, so that the blob does not count as recently used.
    await metadata.blobs.put({ digest, size, ...(mediaType ? { mediaType } : {}) }, storedAt);
    // It may have been evicted meanwhile.
    if (!(await isStored(store, digest))) await metadata.blobs.remove([digest], storedAt);
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
      // Rechecked on the disk: another process may have removed a file whose size is cached.
      if (!inUse(digest) && !(await isStored(store, digest, true))) missing.push(digest);
    }
    // Some of them may have been evicted since the page was read, and some stored again.
    const until = Math.max(...page.map(({ storedAt }) => storedAt));
    const confirmed = (await metadata.blobs.find(missing))
      .filter(({ digest, storedAt }) => storedAt <= until && !inUse(digest))
      .map(({ digest }) => digest);
    lost += confirmed.length;
    if (!dryRun) await metadata.blobs.remove(confirmed, until);
  }
}
