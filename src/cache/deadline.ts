/** Ticks of the clock per timeout: work times out at most a fortieth of the timeout early, never late. */
const TICKS = 40;

interface Waiter {
  /** The tick during which the work began. */
  readonly startTick: number;
  readonly expire: () => void;
}

/**
 * One timeout for many concurrent pieces of work, most of which finish at once. A timer for each
 * would cost more than many a response, so all of them share one clock, which ticks only while work
 * is pending.
 */
export class Deadline {
  readonly #interval: number;
  /** In order of their start, and therefore of their expiry. */
  readonly #waiters = new Set<Waiter>();
  #tick = 0;
  #clock: ReturnType<typeof setInterval> | undefined;

  constructor(milliseconds: number) {
    this.#interval = milliseconds / TICKS;
  }

  /**
   * The result of `work`, or `undefined` if it takes longer than the timeout. The work itself is not
   * cancelled.
   */
  within<Value>(work: Promise<Value>): Promise<Value | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<Value | undefined>();
    const waiter = { startTick: this.#tick, expire: () => resolve(undefined) };
    this.#waiters.add(waiter);
    this.#clock ??= setInterval(() => this.#advance(), this.#interval);
    void this.#removeOnceSettled(work.then(resolve, reject), waiter);
    return promise;
  }

  async #removeOnceSettled(settled: Promise<void>, waiter: Waiter): Promise<void> {
    await settled;
    this.#waiters.delete(waiter);
  }

  #advance(): void {
    this.#tick += 1;
    for (const waiter of this.#waiters) {
      // The partial tick in which the work began counts as a whole one, so it never expires late.
      if (this.#tick - waiter.startTick < TICKS) break;
      this.#waiters.delete(waiter);
      waiter.expire();
    }
    if (this.#waiters.size > 0) return;
    clearInterval(this.#clock);
    this.#clock = undefined;
  }
}
