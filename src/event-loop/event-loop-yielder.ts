import { setImmediate, setTimeout } from "node:timers/promises";

/** How long the work may block the event loop at most, in milliseconds; a small response takes 0.1. */
const MAX_BLOCKING_MS = 1;

/**
 * Lets long-running work of many small steps yield to the event loop. Each such step completes at
 * once or waits for memory only, so awaiting it never lets other work run.
 */
export class EventLoopYielder {
  readonly #share: number;
  #since = performance.now();

  /**
   * @param share the most of the wall-clock time that the work may take, above 0 and up to 1: 1 if
   *   a caller waits for its end
   */
  constructor(share: number = 1) {
    this.#share = share;
  }

  /** Lets other work run if this work has blocked the event loop long enough; call it at each step. */
  async pause(): Promise<void> {
    const worked = performance.now() - this.#since;
    if (worked < MAX_BLOCKING_MS) return;
    const rest = worked * (1 / this.#share - 1);
    await (rest > 0 ? setTimeout(rest) : setImmediate());
    this.#since = performance.now();
  }
}
