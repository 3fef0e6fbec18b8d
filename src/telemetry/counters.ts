/** Limits label cardinality: more combinations mean that a label has unbounded values. */
const MAX_SERIES = 5000;

/** The value of a counter for one combination of label values. */
export interface CounterValue {
  readonly labels: readonly string[];
  readonly value: number;
}

interface Series extends CounterValue {
  value: number;
}

/**
 * A counter with labels. `add` costs a map look-up and an addition, since hot paths call it. Combinations
 * of label values over the limit are counted as `other`.
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

  [Symbol.iterator](): Iterator<CounterValue> {
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
