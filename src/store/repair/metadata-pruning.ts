import type { Digest } from "../../oci/digest.ts";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { Listings, MetadataStore, TagRef } from "../metadata-store.ts";

/** How many records are handled at a time; other work runs between two batches. */
const BATCH = 128;
/** How long links are kept whose blobs are not stored, in milliseconds: a pull may be about to fetch them. */
const LINK_RETENTION_MS = 3_600_000;
/** Removing a batch takes less than that, in milliseconds. */
const SOON_MS = 60_000;

export interface PruneOptions {
  readonly metadata: Pick<
    MetadataStore,
    "tags" | "links" | "blobs" | "listings" | "access" | "visibility" | "tagHistory"
  >;
  /** Whether a blob is being stored, read or removed at the moment. */
  readonly inUse: (digest: Digest) => boolean;
  /** Tags, listings and answers about access that were checked since then are kept, in milliseconds of the epoch. */
  readonly before: number;
  /** Links that were added within so many milliseconds are kept; by default, an hour. */
  readonly linkRetention?: number | undefined;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
  /** Whether the metadata covers everything that is stored; while it is being rebuilt, it does not. */
  readonly isComplete: () => boolean;
  readonly yielder?: EventLoopYielder;
  readonly signal?: AbortSignal;
}

/**
 * Removes the metadata of blobs that are not stored (garbage collection), so that the database does not
 * grow without limit, when it is old: links soon, all others later. What is pulled again is
 * recorded again. Stops early when the metadata is no longer complete, or `signal` is aborted.
 *
 * @returns how many records were removed
 */
export async function pruneMetadata(given: PruneOptions): Promise<number> {
  const options = { yielder: new EventLoopYielder(), ...given };
  const { listings, access, visibility, tagHistory } = options.metadata;
  if (!shouldStop(options)) await tagHistory.prune();
  return (
    (await pruneLinks(options)) +
    (await pruneTags(options)) +
    (await pruneOld(listings, options)) +
    (await pruneOld(access, options)) +
    (await pruneOld(visibility, options))
  );
}

type PruneContext = PruneOptions & { readonly yielder: EventLoopYielder };

/** Those of the digests that are neither stored nor in use. */
async function unstoredDigests(
  digests: readonly Digest[],
  { metadata, inUse }: PruneOptions,
): Promise<Set<Digest>> {
  const unstored = new Set(digests.filter((digest) => !inUse(digest)));
  for (const { digest } of await metadata.blobs.find([...unstored])) unstored.delete(digest);
  return unstored;
}

function shouldStop({ isComplete, signal }: PruneOptions): boolean {
  return signal?.aborted === true || !isComplete();
}

async function pruneLinks(options: PruneContext): Promise<number> {
  const { metadata, inUse, yielder, linkRetention = LINK_RETENTION_MS, now = Date.now } = options;
  const { links } = metadata;
  let count = 0;
  let last: Digest | undefined;
  for (;;) {
    const page = await links.digests(BATCH, last);
    last = page.at(-1);
    if (last === undefined) return count;
    if (shouldStop(options)) return count;
    const unused = page.filter((digest) => !inUse(digest));
    // A later time is that of a clock which was set back, or of a link that is added meanwhile.
    const young = { from: now() - linkRetention, until: now() + SOON_MS };
    count += await links.removeUnstored(unused, young);
    await yielder.pause();
  }
}

async function pruneTags(options: PruneContext): Promise<number> {
  const { tags } = options.metadata;
  let count = 0;
  let last: TagRef | undefined;
  for (;;) {
    const page = await tags.all(BATCH, last);
    last = page.at(-1);
    if (!last) return count;
    const old = page.filter(({ checkedAt }) => checkedAt < options.before);
    const unstored = await unstoredDigests(
      old.map(({ digest }) => digest),
      options,
    );
    for (const { repo, tag, digest } of old) {
      if (shouldStop(options)) return count;
      if (!unstored.has(digest)) continue;
      await tags.remove(repo, tag);
      count += 1;
    }
    await options.yielder.pause();
  }
}

async function pruneOld(
  records: Pick<Listings, "removeBefore">,
  options: PruneContext,
): Promise<number> {
  let count = 0;
  for (;;) {
    if (shouldStop(options)) return count;
    const removed = await records.removeBefore(options.before, BATCH);
    count += removed;
    if (removed < BATCH) return count;
    await options.yielder.pause();
  }
}
