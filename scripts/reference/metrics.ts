import type { MetricDescription } from "../../src/telemetry/metrics.ts";
import { table } from "./markdown.ts";

/** @param metrics all metrics that a running cache registers */
export function metricsPage(metrics: readonly MetricDescription[]): string {
  const rows = metrics
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .map(({ name, kind, labelNames, help }) => [
      `\`${name}\``,
      kind,
      labelNames.map((label) => `\`${label}\``).join(", "),
      help,
    ]);
  return [
    "# Metrics",
    "",
    "`/metrics` at the admin port has these in Prometheus's text format, beside the `process_…` metrics of prom-client. Those of replicas, the ledger and the shared store are there only where `cluster` is configured.",
    "",
    table(["Metric", "Type", "Labels", "Meaning"], rows),
    "",
  ].join("\n");
}
