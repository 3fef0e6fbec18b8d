/** How often it is looked whether clients download anything, in milliseconds. */
const LOOK_MS = 200;
/** How long the background waits at most while clients download something all the time, in milliseconds. */
const LONGEST_WAIT_MS = 60_000;
/** For how long one of its downloads may go on then, in milliseconds. */
const TURN_MS = 10_000;

/** What gives way. */
export interface Yielder {
  /** Whether clients, or what they are about to ask for, download anything now, from whatever upstream. */
  areOthersDownloading(): boolean;
  /** How many downloads run, and are not paused. */
  readonly running: number;
  pauseAll(): void;
  resumeAll(): void;
  /** Lets the first one go on, if there is one that is paused. */
  resumeOne(): void;
}

/**
 * When the background may download: while no client does, since all upstreams may share one line. Where
 * clients never pause, one download has ten seconds of each seventy, so that it ends some day.
 */
export class Lulls {
  readonly #yielder: Yielder;
  readonly #now: () => number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #looked = Promise.withResolvers<void>();
  /** Since when it waits, or has waited, for a lull; in milliseconds of `now`. */
  #waitsSince: number | undefined;
  #turnUntil = -Infinity;

  /** @param now a monotonic clock, in milliseconds */
  constructor(yielder: Yielder, now: () => number = () => performance.now()) {
    this.#yielder = yielder;
    this.#now = now;
  }

  /** Whether one more download may begin. */
  get mayBegin(): boolean {
    if (!this.#yielder.areOthersDownloading()) return true;
    return this.#now() < this.#turnUntil && this.#yielder.running === 0;
  }

  /** There is something to download: looks from now on. */
  start(): void {
    this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** There is nothing to download. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#waitsSince = undefined;
  }

  /** Resolves after the next look, or when a download has ended. */
  get next(): Promise<void> {
    return this.#looked.promise;
  }

  /** A client begins to download: the background ends at once. */
  giveWay(): void {
    if (this.#timer !== undefined && this.#now() >= this.#turnUntil) this.#wait();
  }

  look(): void {
    const now = this.#now();
    if (!this.#yielder.areOthersDownloading()) {
      this.#waitsSince = undefined;
      this.#yielder.resumeAll();
    } else if (now >= this.#turnUntil) {
      this.#wait();
      if (now - (this.#waitsSince ?? now) >= LONGEST_WAIT_MS) this.#takeTurn(now);
    }
    this.wake();
  }

  /** Whoever waits for `next` looks again. */
  wake(): void {
    const { resolve } = this.#looked;
    this.#looked = Promise.withResolvers<void>();
    resolve();
  }

  #wait(): void {
    this.#waitsSince ??= this.#now();
    this.#yielder.pauseAll();
  }

  #takeTurn(now: number): void {
    this.#turnUntil = now + TURN_MS;
    this.#waitsSince = this.#turnUntil;
    this.#yielder.resumeOne();
  }
}
