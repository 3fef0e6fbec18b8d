/** More combinations than that mean that something unbounded got into a label. */
const MAX_SERIES = 5000;

/** What was counted for one combination of labels. */
export interface Counted {
  readonly labels: readonly string[];
  readonly value: number;
}

interface Series extends Counted {
  value: number;
}

/**
 * Sums by labels. Adding is a look-up and an addition: hot paths call it, and nothing is computed
 * before somebody reads.
 */
export class Counters {
  readonly #series = new Map<string, Series>();
  readonly #maxSeries: number;

  constructor(maxSeries: number = MAX_SERIES) {
    this.#maxSeries = maxSeries;
  }

  add(labels: readonly string[], amount = 1): void {
    const key = labels.join("\0");
    const series = this.#series.get(key);
    if (series) {
      series.value += amount;
      return;
    }
    if (this.#series.size < this.#maxSeries) this.#series.set(key, { labels, value: amount });
    else this.#overflow(labels.length, amount);
  }

  [Symbol.iterator](): Iterator<Counted> {
    return this.#series.values();
  }

  #overflow(width: number, amount: number): void {
    const labels = Array.from({ length: width }, () => "other");
    const key = labels.join("\0");
    const series = this.#series.get(key) ?? { labels, value: 0 };
    series.value += amount;
    this.#series.set(key, series);
  }
}
