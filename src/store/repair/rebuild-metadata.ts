import { MAX_MANIFEST_BYTES, ManifestError, parseManifest } from "../../oci/manifest.ts";
import type { Digest } from "../../oci/digest.ts";
import { EventLoopYielder } from "../event-loop-yielder.ts";
import type { ManifestSidecar } from "../disk/sidecar-files.ts";
import type { ReconcileOptions } from "./reconcile.ts";
import type { MetadataStore, Link, RepositoryRef } from "../metadata-store.ts";

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
    tags += (await restoreManifest({ store, metadata: index }, digest, known)).tags;
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
export async function restoreFromSidecars(
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
    const learnt = await restoreManifest({ store, metadata: index }, digest, known);
    tags += learnt.tags;
    if (learnt.tags > 0 || learnt.places > 0) manifests += 1;
  }
  return { manifests, tags };
}

async function areLinked(
  metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins">,
  repo: RepositoryRef,
  links: readonly Link[],
): Promise<boolean> {
  for (const { digest } of links) if (!(await metadata.links.get(repo, digest))) return false;
  return true;
}

/** Makes the links and tags of a manifest again. Returns how many, and at how many places there were links. */
async function restoreManifest(
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
    if (!(await areLinked(index, repo, links))) {
      await index.links.add(repo, links);
      linked += 1;
    }
    for (const [tag, checkedAt] of seen) {
      const record = await index.tags.get(repo, tag);
      // A tag that moved stands beside both manifests: the later one is where it points.
      if (record && record.checkedAt >= checkedAt) continue;
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
