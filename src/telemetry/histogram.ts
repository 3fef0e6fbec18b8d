/** The observations for one value of the label. */
interface Series {
  /** Observations per bucket, not cumulative. The last bucket has no upper bound. */
  readonly counts: number[];
  sum: number;
}

/**
 * A Prometheus histogram with one label. `observe` costs a map look-up and an addition, since hot paths
 * call it; `text` computes the cumulative counts.
 */
export class Histogram {
  readonly metric: { readonly name: string; readonly help: string; readonly label: string };
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Series>();

  /**
   * @param metric the metric's name, help text and label name
   * @param bounds the upper bounds of the buckets, in ascending order, without infinity
   */
  constructor(
    metric: { readonly name: string; readonly help: string; readonly label: string },
    bounds: readonly number[],
  ) {
    this.metric = metric;
    this.#bounds = bounds;
  }

  /** @param labelValue one of a small set, without characters that the text format escapes */
  observe(labelValue: string, value: number): void {
    let series = this.#series.get(labelValue);
    if (!series) {
      series = { counts: Array.from({ length: this.#bounds.length + 1 }, () => 0), sum: 0 };
      this.#series.set(labelValue, series);
    }
    let bucket = 0;
    while (value > (this.#bounds[bucket] ?? Infinity)) bucket += 1;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
    series.sum += value;
  }

  /** The histogram in the Prometheus text format. */
  text(): string {
    const { name, help, label } = this.metric;
    const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
    for (const [value, { counts, sum }] of this.#series) {
      const labels = `${label}="${value}"`;
      let total = 0;
      for (const [bucket, count] of counts.entries()) {
        total += count;
        lines.push(`${name}_bucket{le="${this.#bounds[bucket] ?? "+Inf"}",${labels}} ${total}`);
      }
      lines.push(`${name}_sum{${labels}} ${sum}`, `${name}_count{${labels}} ${total}`);
    }
    return `${lines.join("\n")}\n`;
  }
}
