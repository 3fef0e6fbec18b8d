import type { News } from "./facts.ts";
import type { LedgerHearer } from "./ledger.ts";

/** The most news that wait for the hearer. */
const LIMIT = 4096;

/** Hands news to the hearer, one after the other. */
export class Hearing {
  readonly #hearer: LedgerHearer;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(hearer: LedgerHearer) {
    this.#hearer = hearer;
  }

  /** Whether the hearer is so far behind that nothing more is to be handed to it without waiting. */
  get isFull(): boolean {
    return this.#waiting >= LIMIT;
  }

  get isIdle(): boolean {
    return this.#waiting === 0;
  }

  /**
   * Resolves once the hearer has dealt with it.
   *
   * @param news called when its turn comes, since its age is of that moment; `undefined` if it is none any more
   */
  hand(news: () => News | undefined): Promise<void> {
    return this.#enqueue(async () => {
      const one = news();
      if (one) await this.#hearer.heard(one);
    });
  }

  caughtUp(): Promise<void> {
    return this.#enqueue(async () => this.#hearer.caughtUp());
  }

  lost(): void {
    this.#hearer.lost();
  }

  /** Resolves once the hearer has dealt with everything. */
  settled(): Promise<void> {
    return this.#last;
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    this.#waiting += 1;
    this.#last = this.#last.then(work).finally(() => {
      this.#waiting -= 1;
    });
    return this.#last;
  }
}
