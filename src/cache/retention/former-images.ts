import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { HistorySettings } from "../../config/settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { TagHistory, TagStay } from "../../store/tag-history.ts";

/** Tags per query: with 40 stays each, as many as are kept, some three milliseconds. */
const PAGE_SIZE = 16;
/** The most images that go last: a quarter of a megabyte. */
const MAX_IMAGES = 2000;
/** For how long the list is used again, in milliseconds: what has only just become a former digest was used lately. */
const TTL_MS = 60_000;
/** It is read in at most this part of the time. */
const MAX_SHARE = 0.02;

/** Images that are evicted only once nothing else can be. */
export interface LastImages {
  /** What matters most comes first. */
  readonly digests: readonly Digest[];
  /** What they may take on the disk besides what is pinned, in bytes. Of what exceeds it, nothing goes last. */
  readonly limit: number;
}

export interface FormerImagesOptions {
  readonly history: Pick<TagHistory, "moved">;
  readonly settings: HistorySettings;
  /** In bytes. */
  readonly maxSize: () => number;
  /** In milliseconds of the epoch. */
  readonly now?: () => number;
  /** A monotonic clock, in milliseconds. */
  readonly uptime?: () => number;
}

/** What the tags that have moved point to, and did before: what was seen last comes first. */
export class FormerImages {
  readonly #options: FormerImagesOptions;
  #read: { readonly digests: Promise<Digest[]>; until: number } | undefined;

  constructor(options: FormerImagesOptions) {
    this.#options = options;
  }

  async current(): Promise<LastImages> {
    const { settings, maxSize, uptime = () => performance.now() } = this.#options;
    const limit = settings.share * maxSize();
    if (limit === 0) return { digests: [], limit };
    if (!this.#read || uptime() >= this.#read.until) {
      const begunAt = uptime();
      const digests = this.#list();
      const read = { digests, until: begunAt + TTL_MS };
      this.#read = read;
      digests.then(
        () => (read.until = Math.max(read.until, begunAt + (uptime() - begunAt) / MAX_SHARE)),
        // Read again next time.
        () => (this.#read = undefined),
      );
    }
    return { digests: await this.#read.digests, limit };
  }

  async #list(): Promise<Digest[]> {
    const { history, settings, now = Date.now } = this.#options;
    const since = now() - settings.seenWithin;
    const yielder = new EventLoopYielder();
    const seen = new Map<Digest, number>();
    for (let last; ;) {
      const page = await history.moved(PAGE_SIZE, last);
      last = page.at(-1);
      if (!last) return latest(seen);
      for (const { stays } of page) {
        for (const { digest, lastSeen } of keptOf(stays, settings.digests, since)) {
          seen.set(digest, Math.max(lastSeen, seen.get(digest) ?? -Infinity));
        }
      }
      if (seen.size > 2 * MAX_IMAGES) {
        const kept = new Set(latest(seen));
        for (const digest of seen.keys()) if (!kept.has(digest)) seen.delete(digest);
      }
      await yielder.pause();
    }
  }
}

/** The stays of the latest digests of a tag, and those that were seen since a moment. */
function keptOf(stays: readonly TagStay[], count: number, since: number): TagStay[] {
  const digests = new Set<Digest>();
  return stays.filter(({ digest, lastSeen }) => {
    digests.add(digest);
    return digests.size <= count || lastSeen > since;
  });
}

function latest(seen: ReadonlyMap<Digest, number>): Digest[] {
  return [...seen]
    .toSorted(([, one], [, other]) => other - one)
    .slice(0, MAX_IMAGES)
    .map(([digest]) => digest);
}
