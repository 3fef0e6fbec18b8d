/** What is observed for one value of the label. */
interface Series {
  /** By bucket: how many were above the bound before and not above its own; the last has no bound. */
  readonly counts: number[];
  sum: number;
}

/**
 * How observed values are spread over buckets, for each value of one label. Observing is a look-up
 * and an addition; what has to be added up is added up when somebody reads.
 */
export class Histogram {
  readonly #named: { readonly name: string; readonly help: string; readonly label: string };
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Series>();

  /**
   * @param named what Prometheus calls it
   * @param bounds in rising order
   */
  constructor(
    named: { readonly name: string; readonly help: string; readonly label: string },
    bounds: readonly number[],
  ) {
    this.#named = named;
    this.#bounds = bounds;
  }

  /** @param label one of few, and none that has to be escaped */
  observe(label: string, value: number): void {
    let series = this.#series.get(label);
    if (!series) {
      series = { counts: Array.from({ length: this.#bounds.length + 1 }, () => 0), sum: 0 };
      this.#series.set(label, series);
    }
    let at = 0;
    while (value > (this.#bounds[at] ?? Infinity)) at += 1;
    series.counts[at] = (series.counts[at] ?? 0) + 1;
    series.sum += value;
  }

  /** As a histogram in Prometheus's text format. */
  text(): string {
    const { name, help, label } = this.#named;
    const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
    for (const [value, { counts, sum }] of this.#series) {
      const by = `${label}="${value}"`;
      let total = 0;
      for (const [at, count] of counts.entries()) {
        total += count;
        lines.push(`${name}_bucket{le="${this.#bounds[at] ?? "+Inf"}",${by}} ${total}`);
      }
      lines.push(`${name}_sum{${by}} ${sum}`, `${name}_count{${by}} ${total}`);
    }
    return `${lines.join("\n")}\n`;
  }
}
