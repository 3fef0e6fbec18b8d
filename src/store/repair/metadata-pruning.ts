import type { Digest } from "../../oci/digest.ts";
import { EventLoopYielder } from "../event-loop-yielder.ts";
import type { MetadataStore, TagRef } from "../metadata-store.ts";

/** Facts that are looked at together, between which other work has its turn. */
const BATCH = 128;

export interface PruneOptions {
  readonly metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "listings">;
  /** Whether a content is just coming or going. */
  readonly inUse: (digest: Digest) => boolean;
  /** Tags and lists that were learnt since stay, in milliseconds of the epoch. */
  readonly before: number;
  /** Whether the index still knows everything that is stored: one that was begun anew does not. */
  readonly isComplete: () => boolean;
  readonly yielder?: EventLoopYielder;
  readonly signal?: AbortSignal;
}

/**
 * Forgets what the index says of content that is not stored, so that it does not grow for ever:
 * whoever asks for it again learns it again. Returns how many facts went.
 */
export async function pruneMetadata(pruning: PruneOptions): Promise<number> {
  const options = { yielder: new EventLoopYielder(), ...pruning };
  return (await pruneLinks(options)) + (await pruneTags(options)) + (await pruneListings(options));
}

type PacedOptions = PruneOptions & { readonly yielder: EventLoopYielder };

/** Those that are in use or stored stay. */
async function unusedDigests(
  digests: readonly Digest[],
  { metadata, inUse }: PruneOptions,
): Promise<Set<Digest>> {
  const gone = new Set(digests.filter((digest) => !inUse(digest)));
  for (const { digest } of await metadata.blobs.find([...gone])) gone.delete(digest);
  return gone;
}

function shouldStop({ isComplete: isWhole, signal }: PruneOptions): boolean {
  return signal?.aborted === true || !isWhole();
}

async function pruneLinks(options: PacedOptions): Promise<number> {
  const { metadata, inUse, yielder } = options;
  const { links } = metadata;
  let count = 0;
  let last: Digest | undefined;
  for (;;) {
    const page = await links.digests(BATCH, last);
    last = page.at(-1);
    if (last === undefined) return count;
    if (shouldStop(options)) return count;
    count += await links.removeUnstored(page.filter((digest) => !inUse(digest)));
    await yielder.pause();
  }
}

async function pruneTags(options: PacedOptions): Promise<number> {
  const { tags } = options.metadata;
  let count = 0;
  let last: TagRef | undefined;
  for (;;) {
    const page = await tags.all(BATCH, last);
    last = page.at(-1);
    if (!last) return count;
    const old = page.filter(({ checkedAt }) => checkedAt < options.before);
    const gone = await unusedDigests(
      old.map(({ digest }) => digest),
      options,
    );
    for (const { repo, tag, digest } of old) {
      if (shouldStop(options)) return count;
      if (!gone.has(digest)) continue;
      await tags.remove(repo, tag);
      count += 1;
    }
    await options.yielder.pause();
  }
}

async function pruneListings(options: PacedOptions): Promise<number> {
  let count = 0;
  for (;;) {
    if (shouldStop(options)) return count;
    const gone = await options.metadata.listings.removeBefore(options.before, BATCH);
    count += gone;
    if (gone < BATCH) return count;
    await options.yielder.pause();
  }
}
