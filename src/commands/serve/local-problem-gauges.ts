import {
  LOCAL_PROBLEM_KINDS,
  type LocalProblemKind,
  type LocalProblems,
} from "../../telemetry/local-problems.ts";
import type { Metrics } from "../../telemetry/metrics.ts";

/** Registers what is wrong with this machine, for alerts. */
export function measureLocalProblems(metrics: Metrics, problems: LocalProblems): void {
  const each = (read: (kind: LocalProblemKind) => number) => () =>
    LOCAL_PROBLEM_KINDS.map((kind) => ({ labels: [kind], value: read(kind) }));
  metrics.gauges(
    "entrepot_local_problem",
    "1 while something is wrong with the cache's machine or its surroundings, else 0: its disk, memory or limits, the cluster that it reads, a drill.",
    ["problem"],
    each((kind) => (problems.isNow(kind) ? 1 : 0)),
  );
}
