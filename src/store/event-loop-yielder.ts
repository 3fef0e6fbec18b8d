import { setImmediate, setTimeout } from "node:timers/promises";

/** How long others wait at most, in milliseconds: a small answer is a matter of 0.1. */
const MAX_BLOCKING_MS = 1;

/**
 * For long work of many small steps, each of which is done at once or waits for memory alone: by
 * awaiting them, nobody else gets a turn.
 */
export class EventLoopYielder {
  readonly #share: number;
  #since = performance.now();

  /** @param share of the time that the work takes at most: 1 where somebody waits for its end */
  constructor(share: number = 1) {
    this.#share = share;
  }

  /** Lets all who wait be answered, once in a while. */
  async pause(): Promise<void> {
    const worked = performance.now() - this.#since;
    if (worked < MAX_BLOCKING_MS) return;
    const rest = worked * (1 / this.#share - 1);
    await (rest > 0 ? setTimeout(rest) : setImmediate());
    this.#since = performance.now();
  }
}
