import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";

/** Something that is counted or measured, and is asked for whenever somebody reads. */
export interface Metric {
  readonly kind: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly read: () => Iterable<{ readonly labels: readonly string[]; readonly value: number }>;
}

/** Figures and the process's own metrics in Prometheus's text format. */
export class Exposition {
  readonly #registry = new Registry();
  readonly #known = new Set<Metric>();

  constructor() {
    const before = process.cpuUsage();
    collectDefaultMetrics({ register: this.#registry });
    // Bun answers most of these with zeros: they would look like measurements.
    for (const { name } of this.#registry.getMetricsAsArray()) {
      if (name.startsWith("nodejs_")) this.#registry.removeSingleMetric(name);
    }
    // The library counts from when it is asked to, and the process has worked before.
    this.#add("process_cpu_user_seconds_total", before.user);
    this.#add("process_cpu_system_seconds_total", before.system);
    this.#add("process_cpu_seconds_total", before.user + before.system);
  }

  render(figures: readonly Metric[]): Promise<string> {
    for (const figure of figures) {
      if (this.#known.has(figure)) continue;
      this.#known.add(figure);
      this.#registry.registerMetric(metricOf(figure));
    }
    return this.#registry.metrics();
  }

  #add(name: string, microseconds: number): void {
    const metric = this.#registry.getSingleMetric(name);
    if (metric instanceof Counter) metric.inc(microseconds / 1e6);
  }
}

function metricOf({ kind, name, help, labelNames, read }: Metric): Counter | Gauge {
  const labelled = (labels: readonly string[]): Record<string, string> =>
    Object.fromEntries(labelNames.map((label, at) => [label, labels[at] ?? ""]));
  const shared = { name, help, labelNames, registers: [] };
  if (kind === "counter") {
    return new Counter({
      ...shared,
      collect() {
        this.reset();
        for (const { labels, value } of read()) this.inc(labelled(labels), value);
      },
    });
  }
  return new Gauge({
    ...shared,
    collect() {
      this.reset();
      for (const { labels, value } of read()) this.set(labelled(labels), value);
    },
  });
}
