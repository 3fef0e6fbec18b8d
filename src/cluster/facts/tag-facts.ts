import type { TagNews } from "../../cache/lookup/tag-news.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { TagFact } from "../ledger/facts.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { RecentPurges } from "./recent-purges.ts";

export interface TagFactsOptions {
  readonly ledger: Pick<Ledger, "tag" | "tell">;
  readonly purges: Pick<RecentPurges, "wasPurgedSince">;
  /** The current time, in milliseconds of the epoch. */
  readonly now?: () => number;
}

/** What replicas tell each other of tags. */
export class TagFacts implements TagNews {
  readonly #ledger: TagFactsOptions["ledger"];
  readonly #purges: TagFactsOptions["purges"];
  readonly #now: () => number;

  constructor({ ledger, purges, now = Date.now }: TagFactsOptions) {
    this.#ledger = ledger;
    this.#purges = purges;
    this.#now = now;
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

  told(repo: RepositoryRef, tag: Tag, digest: Digest, ageMs: number): void {
    this.#ledger.tell({ kind: "tag", repo, tag, digest, ageMs });
  }

  removed(repo: RepositoryRef, tag: Tag, ageMs: number): void {
    this.#ledger.tell({ kind: "tag-removed", repo, tag, ageMs });
  }
}
