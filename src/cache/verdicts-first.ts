import { withTimeout } from "./with-timeout.ts";

/** For how long clients that got a verdict may go on before anything is written, in milliseconds. */
const REST_MS = 50;
/** For how long a write is put off at most, in milliseconds: there may always be another verdict that is waited for. */
const MAX_MS = 2000;

/**
 * Has clients that wait for a verdict on an image go before the writes that verdicts cause, for which nobody waits:
 * to store what signatures are in takes longer than to verify them.
 */
export class VerdictsFirst {
  #pending = 0;
  #none = Promise.withResolvers<void>();

  readonly #restMs: number;
  readonly #maxMs: number;

  constructor({ restMs = REST_MS, maxMs = MAX_MS } = {}) {
    this.#restMs = restMs;
    this.#maxMs = maxMs;
    this.#none.resolve();
  }

  /** @param find what a client waits for */
  async run<Value>(find: () => Promise<Value>): Promise<Value> {
    if (this.#pending === 0) this.#none = Promise.withResolvers();
    this.#pending += 1;
    try {
      return await find();
    } finally {
      this.#pending -= 1;
      if (this.#pending === 0) this.#none.resolve();
    }
  }

  /** Resolves when what is caused by verdicts may be written; at once, if none is waited for. */
  async over(): Promise<void> {
    const deadline = performance.now() + this.#maxMs;
    while (this.#pending > 0) {
      const left = deadline - performance.now();
      if (left <= 0) return;
      await withTimeout(left, this.#none.promise);
      await Bun.sleep(this.#restMs);
    }
  }
}
