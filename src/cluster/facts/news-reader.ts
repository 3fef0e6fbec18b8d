import type { Cache } from "../../cache/cache.ts";
import type { Upstream } from "../../cache/upstream.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { News } from "../ledger/facts.ts";
import type { LedgerHearer } from "../ledger/ledger.ts";
import type { LimitFacts } from "./limit-facts.ts";
import type { Orders } from "./orders.ts";
import type { TagFacts } from "./tag-facts.ts";
import type { TagsAgain } from "./tags-again.ts";

export interface NewsReaderOptions {
  readonly upstreams: ReadonlyMap<UpstreamName, Upstream>;
  readonly cache: Pick<Cache, "tagMoved">;
  readonly tagFacts: Pick<TagFacts, "moved">;
  readonly orders: Pick<Orders, "heard" | "asked" | "applied" | "tellAll">;
  readonly limits: Pick<LimitFacts, "heard">;
  readonly again: Pick<TagsAgain, "begin" | "beginInCaution">;
  /** Something could not be done with news. It is told once more with the next look at the ledger, or finds out by itself. */
  readonly onFailed: (task: string, error: unknown) => void;
}

/** Does what the news of other replicas ask for. Upstreams that are not configured here are none of its business. */
export class NewsReader implements LedgerHearer {
  readonly #options: NewsReaderOptions;

  constructor(options: NewsReaderOptions) {
    this.#options = options;
  }

  async heard(news: News): Promise<void> {
    try {
      await this.#read(news);
    } catch (error) {
      this.#options.onFailed(`news of another replica (${news.kind})`, error);
    }
  }

  caughtUp(): void {
    const { orders, again } = this.#options;
    void orders.tellAll();
    again.beginInCaution();
  }

  lost(): void {
    this.#options.again.begin();
  }

  async #read(news: News): Promise<void> {
    const { upstreams, cache, tagFacts, orders, limits } = this.#options;
    switch (news.kind) {
      case "tag":
      case "tag-removed": {
        const upstream = upstreams.get(news.repo.upstream);
        if (!upstream) return;
        const { repo, tag, ageMs } = news;
        tagFacts.moved(repo, tag);
        const digest = news.kind === "tag" ? news.digest : undefined;
        return cache.tagMoved(upstream, repo, tag, { digest, ageMs });
      }
      case "pin":
      case "unpin":
      case "purge":
      case "override":
        return orders.heard(news);
      case "preview":
        return orders.asked(news);
      case "applied":
        return orders.applied(news);
      case "rest":
      case "budget":
        return limits.heard(news);
    }
  }
}
