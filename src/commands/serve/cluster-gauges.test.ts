import { expect, test } from "bun:test";
import { ClusterCounters } from "../../cluster/cluster-counters.ts";
import { clusterProblem } from "../../cluster/cluster-problems.ts";
import type { ClusterStatus } from "../../cluster/cluster-status.ts";
import { Metrics } from "../../telemetry/metrics.ts";
import { measureCluster, measureLedger, measureSharedStore } from "./cluster-gauges.ts";

const status: ClusterStatus = {
  members: [
    { id: "http://10.0.0.7:5002", state: "this" },
    { id: "http://10.0.0.8:5002", state: "living" },
    { id: "http://10.0.0.9:5002", state: "silent" },
  ],
  ledger: { state: "up", since: 0, name: "pg.test", lag: 12, untold: 3 },
  store: {
    state: "read-only",
    since: 0,
    name: "https://s3.test/bucket",
    backlog: 7,
    usedBytes: 4096,
  },
  leader: { id: "http://10.0.0.7:5002", isThis: true },
  degraded: [clusterProblem("store-read-only", "https://s3.test/bucket", "403")],
};

test("a scrape has the states of the cluster, its problems and what was counted", async () => {
  const metrics = new Metrics();
  const counters = new ClusterCounters();
  counters.received("replica", 100);
  counters.failed("store", "timeout");
  counters.answered(206);
  counters.ledgerWasAway(2000);
  counters.evicted(3);
  measureCluster(metrics, () => status, counters);
  measureLedger(metrics, () => status, counters);
  measureSharedStore(metrics, () => status, counters);
  const text = await metrics.render();
  const lines = text
    .split("\n")
    .filter((line) => /^entrepot_(?:repl|clus|ledg|lead|stor|sour)/.test(line));
  expect(lines.filter((line) => !line.endsWith("} 0"))).toEqual([
    'entrepot_replicas{state="living"} 2',
    'entrepot_replicas{state="silent"} 1',
    'entrepot_cluster_problem{problem="store-read-only"} 1',
    'entrepot_source_bytes_total{source="replica"} 100',
    'entrepot_source_failures_total{source="store",reason="timeout"} 1',
    'entrepot_replica_requests_total{status="206"} 1',
    "entrepot_ledger_away_seconds_total 2",
    "entrepot_ledger_up 1",
    "entrepot_ledger_lag_seconds 0.012",
    "entrepot_ledger_outbox 3",
    "entrepot_store_bytes 4096",
    "entrepot_leader 1",
    "entrepot_store_evicted_total 3",
    "entrepot_store_up 1",
    "entrepot_store_writable 0",
    "entrepot_store_backlog 7",
  ]);
});
