import type { SharedStoreError } from "./shared-store-error.ts";

/** In milliseconds. */
export interface BreakerTimes {
  readonly first: number;
  readonly longest: number;
}

/**
 * Keeps requests from a shared store that fails. After a failure none is sent for a while, which doubles with
 * each further one; then a single one is tried.
 */
export class StoreBreaker {
  readonly #times: BreakerTimes;
  readonly #now: () => number;
  readonly #random: () => number;
  #error: SharedStoreError | undefined;
  #failures = 0;
  #openUntil = 0;
  #isTrying = false;

  /**
   * @param now a monotonic clock, in milliseconds
   * @param random a number from 0 to 1
   */
  constructor(
    times: BreakerTimes,
    now: () => number = () => performance.now(),
    random: () => number = Math.random,
  ) {
    this.#times = times;
    this.#now = now;
    this.#random = random;
  }

  /** The last failure since the last success. */
  get error(): SharedStoreError | undefined {
    return this.#error;
  }

  /** How long no request is sent, in milliseconds; 0 if one may be now. */
  get wait(): number {
    if (!this.#error) return 0;
    return Math.max(0, this.#openUntil - this.#now());
  }

  /** Whether `admit` would let a request through. */
  get isPassable(): boolean {
    return !this.#error || (!this.#isTrying && this.wait === 0);
  }

  /** Lets a request through, or not. One that was must end in `succeeded`, `failed` or `abandoned`. */
  admit(): boolean {
    if (!this.isPassable) return false;
    if (this.#error) this.#isTrying = true;
    return true;
  }

  /** @returns whether it was failing before */
  succeeded(): boolean {
    const wasFailing = this.#error !== undefined;
    this.#error = undefined;
    this.#failures = 0;
    this.#isTrying = false;
    return wasFailing;
  }

  failed(error: SharedStoreError): void {
    this.#error = error;
    this.#isTrying = false;
    const now = this.#now();
    // Requests that were under way together fail together.
    if (now < this.#openUntil) return;
    const { first, longest } = this.#times;
    const time = Math.min(first * 2 ** this.#failures, longest);
    this.#failures = Math.min(this.#failures + 1, 16);
    // Replicas do not all try at the same moment.
    this.#openUntil = now + time * (0.75 + 0.25 * this.#random());
  }

  /** The caller gave a request up, which says nothing. */
  abandoned(): void {
    this.#isTrying = false;
  }
}
