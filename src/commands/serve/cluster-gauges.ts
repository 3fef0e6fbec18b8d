import type { ClusterCounters } from "../../cluster/cluster-counters.ts";
import { CLUSTER_PROBLEM_KINDS } from "../../cluster/cluster-problems.ts";
import type { ClusterStatus } from "../../cluster/cluster-status.ts";
import type { Metrics } from "../../telemetry/metrics.ts";

/** Registers what a replica knows of its cluster, for Prometheus. */
export function measureCluster(
  metrics: Metrics,
  read: () => ClusterStatus,
  counters: ClusterCounters,
): void {
  measureStates(metrics, read);
  metrics.counters(
    "entrepot_source_bytes_total",
    "Bytes of blobs that did not come from upstreams: from another replica, or the shared store.",
    ["source"],
    () => counters.sourceBytes,
  );
  metrics.counters(
    "entrepot_source_failures_total",
    "Requests to other replicas and to the shared store that failed, after which the next source was asked.",
    ["source", "reason"],
    () => counters.sourceFailures,
  );
  metrics.counters(
    "entrepot_replica_requests_total",
    "Requests of other replicas, by the status that they were answered with.",
    ["status"],
    () => counters.replicaAnswers,
  );
}

function measureStates(metrics: Metrics, read: () => ClusterStatus): void {
  metrics.gauges(
    "entrepot_replicas",
    "Replicas of the cluster, this one included, by whether they are living, silent, or answer and cannot be asked.",
    ["state"],
    () => {
      const { members } = read();
      const count = (...states: readonly string[]): number =>
        members.filter(({ state }) => states.includes(state)).length;
      return [
        { labels: ["living"], value: count("this", "living") },
        { labels: ["silent"], value: count("silent") },
        { labels: ["unusable"], value: count("unusable") },
      ];
    },
  );
  metrics.gauges(
    "entrepot_cluster_problem",
    "1 while something is wrong with the cluster as this replica sees it, else 0.",
    ["problem"],
    () => {
      const current = new Set<string>(read().degraded.map(({ kind }) => kind));
      return CLUSTER_PROBLEM_KINDS.map((kind) => ({
        labels: [kind],
        value: current.has(kind) ? 1 : 0,
      }));
    },
  );
}

/** Registers what a replica knows of the ledger. */
export function measureLedger(
  metrics: Metrics,
  read: () => ClusterStatus,
  counters: ClusterCounters,
): void {
  metrics.histogram(counters.questionDurations);
  metrics.counters(
    "entrepot_ledger_away_seconds_total",
    "Time for which the ledger was away since the start, until it came up last.",
    [],
    () => [{ labels: [], value: counters.ledgerAwaySeconds }],
  );
  const gauge = gaugeOf(metrics, () => read().ledger);
  gauge("entrepot_ledger_up", "1 if the ledger answers, else 0.", ({ state }) =>
    state === "up" ? 1 : 0,
  );
  gauge(
    "entrepot_ledger_lag_seconds",
    "Time since everything that other replicas told was last read.",
    ({ lag }) => lag / 1000,
  );
  gauge(
    "entrepot_ledger_outbox",
    "Facts that this replica has not told the ledger yet.",
    ({ untold }) => untold,
  );
  metrics.gauge(
    "entrepot_store_bytes",
    "Bytes of all blobs in the shared store, as all replicas have told.",
    () => read().store?.usedBytes ?? 0,
  );
  metrics.gauge(
    "entrepot_leader",
    "1 if this replica evicts from the shared store for all, else 0.",
    () => (read().leader?.isThis ? 1 : 0),
  );
}

/** Registers what a replica knows of the shared store. */
export function measureSharedStore(
  metrics: Metrics,
  read: () => ClusterStatus,
  counters: ClusterCounters,
): void {
  metrics.histogram(counters.putDurations);
  metrics.counters(
    "entrepot_redirects_total",
    "Requests for large blobs that were answered with their address in the shared store.",
    [],
    () => counters.redirects,
  );
  metrics.counters(
    "entrepot_store_evicted_total",
    "Objects that this replica has deleted from the shared store to keep it within its limit.",
    [],
    () => counters.evictions,
  );
  const gauge = gaugeOf(metrics, () => read().store);
  gauge("entrepot_store_up", "1 if the shared store can be read, else 0.", ({ state }) =>
    state === "away" ? 0 : 1,
  );
  gauge(
    "entrepot_store_writable",
    "1 if the shared store can be written to, else 0.",
    ({ state }) => (state === "up" ? 1 : 0),
  );
  gauge(
    "entrepot_store_backlog",
    "Blobs that are to be written to the shared store.",
    ({ backlog }) => backlog,
  );
}

/** Registers gauges of one part, which are 0 while it is not known. */
function gaugeOf<Part>(metrics: Metrics, read: () => Part | undefined) {
  return (name: string, help: string, value: (part: Part) => number | undefined): void => {
    metrics.gauge(name, help, () => {
      const part = read();
      return part === undefined ? 0 : (value(part) ?? 0);
    });
  };
}
