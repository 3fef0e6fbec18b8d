import { until } from "../waiting.ts";
import type { News } from "../../../src/cluster/ledger/facts.ts";
import type { LedgerHearer } from "../../../src/cluster/ledger/ledger.ts";

/** A hearer that remembers what it has heard. */
export class RecordedNews implements LedgerHearer {
  readonly all: News[] = [];
  catchUps = 0;
  losses = 0;

  async heard(news: News): Promise<void> {
    this.all.push(news);
  }

  caughtUp(): void {
    this.catchUps += 1;
  }

  lost(): void {
    this.losses += 1;
  }

  /** What was heard, without ages. */
  get words(): string[] {
    return this.all.map(wordsOf);
  }

  /** Waits until these are the last words that were heard. */
  async hasHeard(...words: readonly string[]): Promise<void> {
    await until(() => this.words.slice(-words.length).join() === words.join(), {
      what: `the news ${words.join(", ")}`,
      detail: () => `heard: ${this.words.join(", ")}`,
    });
  }

  /** Waits until it has heard everything from before. */
  async hasCaughtUp(times = 1): Promise<void> {
    await until(() => this.catchUps >= times, { what: `${times} catch-ups` });
  }
}

export function wordsOf(news: News): string {
  switch (news.kind) {
    case "tag":
      return `${news.repo.repository}:${news.tag}=${news.digest.slice(7, 11)}`;
    case "tag-removed":
      return `no ${news.repo.repository}:${news.tag}`;
    case "rest":
      return `rest of ${news.requests} at ${news.host}`;
    case "budget":
      return `${news.remaining} left at ${news.host}`;
    case "preview":
      return `preview ${news.pattern}`;
    case "applied":
      return `${news.by} did it for ${news.images}`;
    case "pin":
      return `pin ${[news.pattern, ...news.platforms].join(" ")}`;
    case "override": {
      const { kind, pattern, ended } = news.override;
      return `${ended ? `${ended.by} ended ` : ""}${kind} ${pattern}`;
    }
    case "unpin":
    case "purge":
      return `${news.kind} ${news.pattern}`;
  }
}
