import type { RateClock } from "../rates/rate-clock.ts";

/** A clock that stands still until it is told to go on. */
export class ScriptedClock implements RateClock {
  #now = 0;
  readonly #begin: number;
  readonly #timers = new Map<object, { readonly at: number; readonly call: () => void }>();

  constructor(begin = "2026-06-01T12:00:00Z") {
    this.#begin = Date.parse(begin);
  }

  now(): number {
    return this.#now;
  }

  date(): Date {
    return new Date(this.#begin + this.#now);
  }

  after(milliseconds: number, call: () => void): () => void {
    const key = {};
    this.#timers.set(key, { at: this.#now + milliseconds, call });
    return () => this.#timers.delete(key);
  }

  /** Lets everything happen that is due until then, in its order. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    for (;;) {
      // Downloads take their turns in promises.
      for (let i = 0; i < 20; i += 1) await Promise.resolve();
      const [next] = [...this.#timers].toSorted(([, one], [, other]) => one.at - other.at);
      if (!next || next[1].at > end) break;
      this.#now = Math.max(this.#now, next[1].at);
      this.#timers.delete(next[0]);
      next[1].call();
    }
    this.#now = end;
  }

  /** Nothing that is due happens meanwhile, as while the event loop is busy. */
  hang(milliseconds: number): void {
    this.#now += milliseconds;
  }
}
