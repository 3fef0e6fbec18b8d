import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";

/** A metric whose values are read at each scrape. */
export interface Metric {
  readonly kind: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly read: () => Iterable<{ readonly labels: readonly string[]; readonly value: number }>;
}

/** Renders the cache's metrics and the process metrics in the Prometheus text format. */
export class Exposition {
  readonly #registry = new Registry();
  readonly #registered = new Set<Metric>();

  constructor() {
    const initial = process.cpuUsage();
    collectDefaultMetrics({ register: this.#registry });
    // Bun reports zeros for most of these, which would look like measurements.
    for (const { name } of this.#registry.getMetricsAsArray()) {
      if (name.startsWith("nodejs_")) this.#registry.removeSingleMetric(name);
    }
    // prom-client counts CPU time from now on. This adds the time that the process has already used.
    this.#add("process_cpu_user_seconds_total", initial.user);
    this.#add("process_cpu_system_seconds_total", initial.system);
    this.#add("process_cpu_seconds_total", initial.user + initial.system);
  }

  /** Metrics that are new since the previous call are registered first. */
  render(metrics: readonly Metric[]): Promise<string> {
    for (const metric of metrics) {
      if (this.#registered.has(metric)) continue;
      this.#registered.add(metric);
      this.#registry.registerMetric(toPrometheusMetric(metric));
    }
    return this.#registry.metrics();
  }

  #add(name: string, microseconds: number): void {
    const metric = this.#registry.getSingleMetric(name);
    if (metric instanceof Counter) metric.inc(microseconds / 1e6);
  }
}

function toPrometheusMetric({ kind, name, help, labelNames, read }: Metric): Counter | Gauge {
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
