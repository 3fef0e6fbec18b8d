import { MAX_MANIFEST_BYTES, ManifestError, parseManifest } from "../../oci/manifest.ts";
import type { Digest } from "../../oci/digest.ts";
import type { BlobEntry, BlobStore } from "../blob-store.ts";
import { EventLoopYielder } from "../event-loop-yielder.ts";
import type { SidecarFiles, ManifestSidecar } from "../disk/sidecar-files.ts";
import { verifyBlob } from "./scrub.ts";
import type { MetadataStore, Link, RepositoryRef } from "../metadata-store.ts";

/** Contents that are looked up together. */
const BATCH = 64;
/** How long a beginning that nobody asked for again is kept, in milliseconds. */
const KEPT_FOR = 24 * 3_600_000;

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
  const found = await learnFiles(options);
  const lost = await forgetLost(options);
  return { found, lost };
}

async function learnFiles(options: ReconcileOptions): Promise<number> {
  const { store, yielder = new EventLoopYielder(), signal } = options;
  let batch: BlobEntry[] = [];
  let found = 0;
  for await (const entry of store.entries()) {
    if (signal?.aborted) return found;
    await yielder.pause();
    batch.push(entry);
    if (batch.length < BATCH) continue;
    found += await learnBatch(batch, options);
    batch = [];
  }
  return found + (await learnBatch(batch, options));
}

async function learnBatch(batch: readonly BlobEntry[], options: ReconcileOptions): Promise<number> {
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

async function forgetLost(options: ReconcileOptions): Promise<number> {
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

/** Forgets beginnings that nobody has asked for again. Returns their bytes. */
export async function expirePartials(
  store: Pick<BlobStore, "partials" | "removePartial">,
  now: number,
  dryRun = false,
): Promise<number> {
  let bytes = 0;
  for await (const { digest, size, storedAt } of store.partials()) {
    if (now - storedAt < KEPT_FOR) continue;
    if (dryRun || (await store.removePartial(digest))) bytes += size;
  }
  return bytes;
}

/** What a rebuilt index knows again. */
export interface Rebuilt {
  readonly manifests: number;
  readonly tags: number;
  readonly pins: number;
}

/** Makes the facts of an empty index again from what is kept beside the manifests. */
export async function rebuildMetadata(
  {
    store,
    metadata: index,
    sidecars: facts,
  }: Pick<ReconcileOptions, "store" | "metadata" | "sidecars">,
  signal?: AbortSignal,
): Promise<Rebuilt> {
  const pins = await restorePins({ metadata: index, sidecars: facts });
  const yielder = new EventLoopYielder();
  let [manifests, tags] = [0, 0];
  for await (const digest of facts.digests()) {
    if (signal?.aborted) break;
    await yielder.pause();
    const known = await facts.read(digest);
    if (!known) continue;
    const size = (await store.open(digest))?.size;
    if (size !== undefined) {
      await index.blobs.put({ digest, size, mediaType: known.mediaType }, Date.now());
    }
    tags += (await learnPlaces({ store, metadata: index }, digest, known)).tags;
    manifests += 1;
  }
  return { manifests, tags, pins };
}

/** Pins that the index has lost, before anything that they keep may be evicted. Returns how many. */
export async function restorePins({
  metadata: index,
  sidecars: facts,
}: Pick<ReconcileOptions, "metadata" | "sidecars">): Promise<number> {
  const known = new Set((await index.pins.list()).map(({ pattern }) => pattern));
  const lost = (await facts.pins()).filter(({ pattern }) => !known.has(pattern));
  for (const pin of lost) await index.pins.put(pin);
  return lost.length;
}

/** What an index did not know of manifests that are stored. */
export interface Restored {
  readonly manifests: number;
  readonly tags: number;
}

/**
 * Learns what manifests that are stored are called where the index has lost that: after a power cut
 * it may know a content, and not the tag that was written a moment later.
 */
export async function restoreLost(
  {
    store,
    metadata: index,
    sidecars: facts,
  }: Pick<ReconcileOptions, "store" | "metadata" | "sidecars">,
  signal: AbortSignal,
  yielder: EventLoopYielder = new EventLoopYielder(),
): Promise<Restored> {
  let [manifests, tags] = [0, 0];
  for await (const digest of facts.digests()) {
    if (signal.aborted) break;
    await yielder.pause();
    const known = await facts.read(digest);
    if (!known || !(await store.open(digest))) continue;
    const learnt = await learnPlaces({ store, metadata: index }, digest, known);
    tags += learnt.tags;
    if (learnt.tags > 0 || learnt.places > 0) manifests += 1;
  }
  return { manifests, tags };
}

async function areKnown(
  metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins">,
  repo: RepositoryRef,
  links: readonly Link[],
): Promise<boolean> {
  for (const { digest } of links) if (!(await metadata.links.get(repo, digest))) return false;
  return true;
}

/** Makes the links and tags of a manifest again. Returns how many, and at how many places there were links. */
async function learnPlaces(
  { store, metadata: index }: Pick<ReconcileOptions, "store" | "metadata">,
  digest: Digest,
  { mediaType, repositories: places }: ManifestSidecar,
): Promise<{ readonly tags: number; readonly places: number }> {
  const stored = await store.open(digest);
  const bytes =
    stored && stored.size <= MAX_MANIFEST_BYTES ? await stored.bytes.bytes() : undefined;
  const own = { digest, ...(stored ? { size: stored.size } : {}) };
  const references = bytes ? referencesOf(bytes, mediaType) : [];
  let [tags, linked] = [0, 0];
  for (const { repo, tags: seen } of places) {
    const links = [own, ...references];
    if (!(await areKnown(index, repo, links))) {
      await index.links.add(repo, links);
      linked += 1;
    }
    for (const [tag, checkedAt] of seen) {
      const fact = await index.tags.get(repo, tag);
      // A tag that moved stands beside both manifests: the later one is where it points.
      if (fact && fact.checkedAt >= checkedAt) continue;
      await index.tags.put(repo, tag, { digest, checkedAt });
      tags += 1;
    }
  }
  return { tags, places: linked };
}

function referencesOf(bytes: Uint8Array, mediaType: string): { digest: Digest; size: number }[] {
  try {
    const { manifests, blobs } = parseManifest(bytes, mediaType);
    return [...manifests, ...blobs];
  } catch (error) {
    if (error instanceof ManifestError) return [];
    throw error;
  }
}
