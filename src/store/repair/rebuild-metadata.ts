import { parseManifest } from "../../oci/parse-manifest.ts";
import { MAX_MANIFEST_BYTES, ManifestError } from "../../oci/manifest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Digest } from "../../oci/digest.ts";
import type { BlobStore, StoredBlob } from "../blob-store.ts";
import { isStored, openReadable } from "./look-up.ts";
import { manifestTypeOf, type Sidecar } from "../sidecars/sidecar.ts";
import type { SidecarFiles } from "../sidecars/sidecar-files.ts";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { Link, MetadataStore, RepositoryRef, TagRef } from "../metadata-store.ts";
import { restoreOverrides } from "../sidecars/kept-overrides.ts";
import type { TagStay } from "../tag-history.ts";

export interface RebuildOptions {
  readonly store: BlobStore;
  readonly metadata: Pick<
    MetadataStore,
    "tags" | "links" | "blobs" | "pins" | "tagHistory" | "overrides"
  >;
  readonly sidecars: SidecarFiles;
}

/** How much a rebuild has restored. */
export interface Rebuilt {
  /** Manifests that have a sidecar, stored or not. */
  readonly manifests: number;
  readonly tags: number;
  readonly pins: number;
  readonly overrides: number;
  /** Files of which nothing could be read: sidecars, manifests, that of the pins and that of the overrides. */
  readonly unreadable: number;
}

/**
 * Rebuilds an empty metadata store from the sidecar files: pins, overrides, the records of stored manifests, links,
 * tags and what these were before. It may run beside traffic; a newer tag is not overwritten. Records of other blobs are added
 * by `reconcile`.
 *
 * @throws Fault of kind `no-space` or `storage`
 */
export async function rebuildMetadata(
  { store, metadata, sidecars }: RebuildOptions,
  signal?: AbortSignal,
): Promise<Rebuilt> {
  const pins = await ifReadable(() => restorePins({ metadata, sidecars }));
  const overrides = await ifReadable(() => restoreOverrides(metadata.overrides, sidecars));
  const yielder = new EventLoopYielder();
  let [manifests, tags] = [0, 0];
  let unreadable = [pins, overrides].filter((restored) => restored === undefined).length;
  for await (const digest of sidecars.digests()) {
    if (signal?.aborted) break;
    await yielder.pause();
    const read = await ifReadable(async () => ({ sidecar: await sidecars.read(digest) }));
    if (!read) unreadable += 1;
    const sidecar = read?.sidecar;
    if (!sidecar) continue;
    const mediaType = manifestTypeOf(sidecar);
    if (mediaType !== undefined) {
      const size = (await openReadable(store, digest))?.size;
      if (size !== undefined) await metadata.blobs.put({ digest, size, mediaType }, Date.now());
      manifests += 1;
    }
    const restored = await restoreBlob({ store, metadata }, digest, sidecar);
    for (const { repo, since } of sidecar.repositories) {
      if (since !== undefined) await metadata.tagHistory.digestSeen(repo, digest, since);
    }
    tags += restored.tags;
    if (!restored.isComplete) unreadable += 1;
  }
  return { manifests, tags, pins: pins ?? 0, overrides: overrides ?? 0, unreadable };
}

/** What `read` gives; `undefined` if the disk fails to read it. */
export async function ifReadable<Value>(read: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Fault && error.detail.kind === "storage") return undefined;
    throw error;
  }
}

/**
 * Restores the pins that the metadata store has lost. It runs before eviction, which would remove what
 * they keep. Returns how many pins were restored.
 */
export async function restorePins({
  metadata,
  sidecars,
}: Pick<RebuildOptions, "metadata" | "sidecars">): Promise<number> {
  const patterns = new Set((await metadata.pins.list()).map(({ pattern }) => pattern));
  const lost = (await sidecars.pins()).filter(({ pattern }) => !patterns.has(pattern));
  for (const pin of lost) await metadata.pins.put(pin);
  return lost.length;
}

/** How much was missing, and was restored from the sidecar files. */
export interface Restored {
  /** Stored blobs, manifests and others, of which a link or a tag was missing. */
  readonly blobs: number;
  readonly tags: number;
  /** Sidecar files and manifests that could not be read. */
  readonly unreadable: number;
}

/**
 * Restores links and tags of stored blobs that the metadata store has lost: after a power cut it
 * may have the record of a blob, but not the tag that was written a moment later.
 *
 * @throws Fault of kind `no-space` or `storage`
 */
export async function restoreFromSidecars(
  { store, metadata, sidecars }: RebuildOptions,
  signal: AbortSignal,
  yielder: EventLoopYielder = new EventLoopYielder(),
): Promise<Restored> {
  let [blobs, tags, unreadable] = [0, 0, 0];
  for await (const digest of sidecars.digests()) {
    if (signal.aborted) break;
    await yielder.pause();
    const read = await ifReadable(async () => ({ sidecar: await sidecars.read(digest) }));
    if (!read) unreadable += 1;
    const sidecar = read?.sidecar;
    if (!sidecar || !(await isStored(store, digest))) continue;
    const restored = await restoreBlob({ store, metadata }, digest, sidecar);
    tags += restored.tags;
    if (!restored.isComplete) unreadable += 1;
    if (restored.tags > 0 || restored.repositories > 0) blobs += 1;
  }
  return { blobs, tags, unreadable };
}

async function areLinked(
  metadata: Pick<MetadataStore, "links">,
  repo: RepositoryRef,
  links: readonly Link[],
): Promise<boolean> {
  for (const { digest, confirmed = false, manifestType } of links) {
    const link = await metadata.links.get(repo, digest);
    if (!link || (confirmed && !link.confirmed)) return false;
    if (manifestType !== undefined && link.manifestType === undefined) return false;
  }
  return true;
}

/**
 * Restores the links and tags of a blob, and of a manifest also the claimed links of what it references.
 * Returns how many tags were restored, and in how many repositories links were.
 */
async function restoreBlob(
  { store, metadata }: Pick<RebuildOptions, "store" | "metadata">,
  digest: Digest,
  sidecar: Sidecar,
): Promise<{
  readonly tags: number;
  readonly repositories: number;
  /** Whether what it references is known. */
  readonly isComplete: boolean;
}> {
  const stored = await openReadable(store, digest);
  const type = manifestTypeOf(sidecar);
  const isUnreadable = !stored && type !== undefined && (await isStored(store, digest));
  const found = type === undefined ? [] : await referencesOf(stored, type);
  const references = found ?? [];
  const blob = { digest, ...(stored ? { size: stored.size } : {}), confirmed: true };
  let [restoredTags, linkedRepositories] = [0, 0];
  for (const { repo, mediaType, tags, stays = [] } of sidecar.repositories) {
    const own = mediaType === undefined ? blob : { ...blob, manifestType: mediaType };
    const links = [own, ...references];
    if (!(await areLinked(metadata, repo, links))) {
      await metadata.links.add(repo, links);
      linkedRepositories += 1;
    }
    // Before the tags: where one points is part of its history then.
    for (const [tag, known] of stays) await restoreStays(metadata, { repo, tag }, known);
    for (const [tag, checkedAt] of tags) {
      const record = await metadata.tags.get(repo, tag);
      // A tag that moved may be in the sidecars of both manifests: the later record is right.
      if (record && record.checkedAt >= checkedAt) continue;
      await metadata.tags.put(repo, tag, { digest, checkedAt });
      restoredTags += 1;
    }
  }
  return {
    tags: restoredTags,
    repositories: linkedRepositories,
    isComplete: found !== undefined && !isUnreadable,
  };
}

async function restoreStays(
  { tagHistory }: Pick<MetadataStore, "tagHistory">,
  { repo, tag }: TagRef,
  stays: readonly TagStay[],
): Promise<void> {
  const known = await tagHistory.of(repo, tag);
  const isKnown = (stay: TagStay): boolean =>
    known.some(
      ({ digest, firstSeen, lastSeen }) =>
        digest === stay.digest && firstSeen <= stay.firstSeen && lastSeen >= stay.lastSeen,
    );
  if (!stays.every(isKnown)) await tagHistory.add(repo, tag, stays);
}

/** None of a manifest that is not stored or not valid; `undefined` if it cannot be read. */
async function referencesOf(
  stored: StoredBlob | undefined,
  mediaType: string,
): Promise<{ digest: Digest; size: number }[] | undefined> {
  if (!stored || stored.size > MAX_MANIFEST_BYTES) return [];
  const bytes = await stored.bytes.bytes().catch(() => undefined);
  if (!bytes) return undefined;
  try {
    const { manifests, blobs } = await parseManifest(bytes, mediaType);
    return [...manifests, ...blobs];
  } catch (error) {
    if (error instanceof ManifestError) return [];
    throw error;
  }
}
