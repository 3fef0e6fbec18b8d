/** How many times a deadline's length the clock ticks: it is kept to within a fortieth. */
const TICKS = 40;

interface Waiting {
  /** The tick at which it began. */
  readonly since: number;
  readonly expire: () => void;
}

/**
 * One deadline for much that is mostly done at once. A timer for each would cost more than many an
 * answer; here one clock ticks for all, and only while something is under way.
 */
export class Deadline {
  readonly #interval: number;
  /** In the order in which they began, which is that of their ends. */
  readonly #waiting = new Set<Waiting>();
  #tick = 0;
  #clock: ReturnType<typeof setInterval> | undefined;

  constructor(milliseconds: number) {
    this.#interval = milliseconds / TICKS;
  }

  /** The work's outcome, or `undefined` where it takes longer; the work itself goes on. */
  within<Value>(work: Promise<Value>): Promise<Value | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Value | undefined>();
    const waiting = { since: this.#tick, expire: () => resolve(undefined) };
    this.#waiting.add(waiting);
    this.#clock ??= setInterval(() => this.#advance(), this.#interval);
    void this.#watch(work.then(resolve, reject), waiting);
    return promise;
  }

  async #watch(settled: Promise<void>, waiting: Waiting): Promise<void> {
    await settled;
    this.#waiting.delete(waiting);
  }

  #advance(): void {
    this.#tick += 1;
    for (const waiting of this.#waiting) {
      // The tick in which it began was part of one: never later than was promised.
      if (this.#tick - waiting.since < TICKS) break;
      this.#waiting.delete(waiting);
      waiting.expire();
    }
    if (this.#waiting.size > 0) return;
    clearInterval(this.#clock);
    this.#clock = undefined;
  }
}
