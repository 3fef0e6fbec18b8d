const HOUR_MS = 3_600_000;

/** Bounds an amount per hour. */
export class HourlyLimit {
  readonly #max: number;
  readonly #clock: () => number;
  #taken = 0;
  #since = -Infinity;

  constructor(max: number, clock: () => number = () => performance.now()) {
    this.#max = max;
    this.#clock = clock;
  }

  /** Takes an amount, unless that would be too much for this hour. Returns whether it was taken. */
  take(amount: number): boolean {
    const now = this.#clock();
    if (now - this.#since >= HOUR_MS) {
      this.#since = now;
      this.#taken = 0;
    }
    if (this.#taken + amount > this.#max) return false;
    this.#taken += amount;
    return true;
  }
}
