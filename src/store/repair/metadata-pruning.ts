import type { Digest } from "../../oci/digest.ts";
import { Courtesy } from "../event-loop-yielder.ts";
import type { Index, NamedTag } from "../metadata-store.ts";

/** Facts that are looked at together, between which other work has its turn. */
const BATCH = 128;

export interface Pruning {
  readonly index: Index;
  /** Whether a content is just coming or going. */
  readonly inUse: (digest: Digest) => boolean;
  /** Tags and lists that were learnt since stay, in milliseconds of the epoch. */
  readonly before: number;
  /** Whether the index still knows everything that is stored: one that was begun anew does not. */
  readonly isWhole: () => boolean;
  readonly courtesy?: Courtesy;
  readonly signal?: AbortSignal;
}

/**
 * Forgets what the index says of content that is not stored, so that it does not grow for ever:
 * whoever asks for it again learns it again. Returns how many facts went.
 */
export async function pruneIndex(pruning: Pruning): Promise<number> {
  const options = { courtesy: new Courtesy(), ...pruning };
  return (await pruneLinks(options)) + (await pruneTags(options)) + (await pruneLists(options));
}

type Gentle = Pruning & { readonly courtesy: Courtesy };

/** Those that are in use or stored stay. */
async function unheld(digests: readonly Digest[], { index, inUse }: Pruning): Promise<Set<Digest>> {
  const gone = new Set(digests.filter((digest) => !inUse(digest)));
  for (const { digest } of await index.contents.among([...gone])) gone.delete(digest);
  return gone;
}

function isOver({ isWhole, signal }: Pruning): boolean {
  return signal?.aborted === true || !isWhole();
}

async function pruneLinks(options: Gentle): Promise<number> {
  const { index, inUse, courtesy } = options;
  const { links } = index;
  let count = 0;
  let last: Digest | undefined;
  for (;;) {
    const page = await links.digests(BATCH, last);
    last = page.at(-1);
    if (last === undefined) return count;
    if (isOver(options)) return count;
    count += await links.forget(page.filter((digest) => !inUse(digest)));
    await courtesy.pause();
  }
}

async function pruneTags(options: Gentle): Promise<number> {
  const { tags } = options.index;
  let count = 0;
  let last: NamedTag | undefined;
  for (;;) {
    const page = await tags.all(BATCH, last);
    last = page.at(-1);
    if (!last) return count;
    const old = page.filter(({ checkedAt }) => checkedAt < options.before);
    const gone = await unheld(
      old.map(({ digest }) => digest),
      options,
    );
    for (const { place, tag, digest } of old) {
      if (isOver(options)) return count;
      if (!gone.has(digest)) continue;
      await tags.remove(place, tag);
      count += 1;
    }
    await options.courtesy.pause();
  }
}

async function pruneLists(options: Gentle): Promise<number> {
  let count = 0;
  for (;;) {
    if (isOver(options)) return count;
    const gone = await options.index.listings.forgetBefore(options.before, BATCH);
    count += gone;
    if (gone < BATCH) return count;
    await options.courtesy.pause();
  }
}
