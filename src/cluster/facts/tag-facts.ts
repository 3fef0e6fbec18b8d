import { LRUCache } from "lru-cache";
import type { StayAges, TagNews } from "../../cache/lookup/tag-news.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import { growingTo } from "../../process/growing-to.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { TagFact } from "../ledger/facts.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { RecentPurges } from "./recent-purges.ts";

/** Tags of which it is known what was told. */
const MAX_SEEN = 4096;
/** How often it is told that a tag still has a digest, in milliseconds: a ledger may have lost it. */
const SEEN_AGAIN_MS = 3_600_000;

export interface TagFactsOptions {
  readonly ledger: Pick<Ledger, "tag" | "history" | "tell">;
  readonly purges: Pick<RecentPurges, "wasPurgedSince">;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/** What replicas tell each other of tags. */
export class TagFacts implements TagNews {
  readonly #ledger: TagFactsOptions["ledger"];
  readonly #purges: TagFactsOptions["purges"];
  readonly #now: () => number;
  /** The digests that tags were told to have. */
  readonly #seen: LRUCache<string, Digest>;

  constructor({ ledger, purges, now = Date.now }: TagFactsOptions) {
    this.#ledger = ledger;
    this.#purges = purges;
    this.#now = now;
    this.#seen = new LRUCache({
      ...growingTo(MAX_SEEN),
      ttl: SEEN_AGAIN_MS,
      perf: { now },
      ttlResolution: 0,
    });
  }

  async known(
    repo: RepositoryRef,
    tag: Tag,
  ): Promise<Pick<TagFact, "digest" | "ageMs"> | undefined> {
    const known = await this.#ledger.tag(repo, tag);
    if (!known) return undefined;
    const checkedAt = this.#now() - known.ageMs;
    const isPurged = this.#purges.wasPurgedSince({ ...repo, tag, digest: known.digest }, checkedAt);
    return isPurged ? undefined : known;
  }

  /** Of purges it says nothing: a tag that is purged is not new for it. */
  history(repo: RepositoryRef, tag: Tag): Promise<readonly StayAges[] | undefined> {
    return this.#ledger.history(repo, tag);
  }

  told(repo: RepositoryRef, tag: Tag, digest: Digest, ageMs: number, source?: string): void {
    const key = keyOf(repo, tag);
    // Nearly always it was only checked again: then the fact says when that was.
    if (this.#seen.get(key) !== digest) {
      this.#seen.set(key, digest);
      const named = source === undefined ? {} : { source };
      const stay = { digest, firstSeenAgeMs: ageMs, lastSeenAgeMs: ageMs, ...named };
      // First: it reads from the last fact when the digest before was seen last.
      this.#ledger.tell({ kind: "seen", repo, tag, stays: [stay] });
    }
    this.#ledger.tell({ kind: "tag", repo, tag, digest, ageMs });
  }

  /** Another replica saw the tag move: that it moves back will be news. */
  moved(repo: RepositoryRef, tag: Tag): void {
    this.#seen.delete(keyOf(repo, tag));
  }

  removed(repo: RepositoryRef, tag: Tag, ageMs: number): void {
    this.#ledger.tell({ kind: "tag-removed", repo, tag, ageMs });
  }
}

function keyOf({ upstream, repository }: RepositoryRef, tag: Tag): string {
  return `${upstream}/${repository}:${tag}`;
}
