import { setImmediate } from "node:timers/promises";

/** How long others wait at most, in milliseconds: a small answer is a matter of 0.1. */
const LONGEST = 1;

/**
 * For long work of many small steps, each of which is done at once or waits for memory alone: by
 * awaiting them, nobody else gets a turn.
 */
export class Courtesy {
  #since = performance.now();

  /** Lets all who wait be answered, once in a while. */
  async pause(): Promise<void> {
    if (performance.now() - this.#since < LONGEST) return;
    await setImmediate();
    this.#since = performance.now();
  }
}
