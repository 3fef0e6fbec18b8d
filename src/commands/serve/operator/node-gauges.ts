import { type Node, wiringReportSchema } from "../../../api/nodes.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";

/** A node that is silent for longer may be gone: it must not be told of for ever. In milliseconds. */
const SEEN_WITHIN = 24 * 60 * 60 * 1000;
/** Of nodes that do not report their wiring. */
const UNKNOWN = "unknown";

/** Registers how many nodes are wired, for an alert. */
export function measureNodes(metrics: Metrics, nodes: { readonly all: readonly Node[] }): void {
  metrics.gauges(
    "entrepot_nodes",
    "Nodes that pulled or reported within a day, by what they told last of their wiring; unknown without a report.",
    ["wiring"],
    () => {
      const counts = new Map<string, number>(
        [...wiringReportSchema.shape.state.options, UNKNOWN].map((state) => [state, 0]),
      );
      const since = Date.now() - SEEN_WITHIN;
      for (const { wired, lastPullAt = 0 } of nodes.all) {
        if (Math.max(lastPullAt, wired?.reportedAt ?? 0) < since) continue;
        const state = wired?.state ?? UNKNOWN;
        counts.set(state, (counts.get(state) ?? 0) + 1);
      }
      return [...counts].map(([state, value]) => ({ labels: [state], value }));
    },
  );
}
