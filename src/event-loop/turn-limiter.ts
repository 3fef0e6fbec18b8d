/**
 * Spreads work that many requests start at once over turns of the event loop: a few pieces begin in
 * each turn, and the rest wait, first in, first out. Whatever else is ready, such as a hit, is served
 * in between. While there is little to do, nothing waits.
 *
 * A turn handles every event that is ready, and in Bun also those that become ready meanwhile. So what
 * begins in one turn, and later ends in one, is what bounds how long a turn takes.
 */
export class TurnLimiter {
  readonly #perTurn: number;
  readonly #waiting: (() => void)[] = [];
  /** How many may still begin in this turn. Above 0 only if none is waiting. */
  #left: number;
  #isScheduled = false;

  /** @param perTurn how many pieces of work begin in one turn at most */
  constructor(perTurn: number) {
    this.#perTurn = perTurn;
    this.#left = perTurn;
  }

  /** Resolves when the caller's work may begin: at once, or in one of the next turns. */
  begin(): Promise<void> {
    this.#schedule();
    if (this.#left === 0) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#left -= 1;
    return Promise.resolve();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#startTurn());
  }

  #startTurn(): void {
    this.#isScheduled = false;
    const begun = this.#waiting.splice(0, this.#perTurn);
    this.#left = this.#perTurn - begun.length;
    for (const resolve of begun) resolve();
    if (begun.length > 0) this.#schedule();
  }
}
