import { expect, test } from "bun:test";
import type { Status } from "../../api/status.ts";
import { clusterText } from "./cluster-text.ts";

const NOW = 1_800_000_000_000;
const ago = (seconds: number): number => NOW - seconds * 1000;

const cluster: NonNullable<Status["cluster"]> = {
  members: [
    { id: "http://10.0.0.7:5002", state: "living", version: "0.2.0", seenAt: NOW },
    { id: "http://10.0.0.8:5002", state: "this", version: "0.2.0" },
    { id: "http://10.0.0.9:5002", state: "silent", seenAt: ago(70) },
  ],
  ledger: { state: "up", since: ago(7200), name: "pg.test/entrepot", lag: 12, untold: 0 },
  store: {
    state: "up",
    since: ago(7200),
    name: "https://s3.test/bucket/prefix",
    backlog: 3,
    usedBytes: 1.5 * 2 ** 40,
    blobs: 120_000,
    maxSize: 2 ** 41,
  },
  leader: { id: "http://10.0.0.7:5002", isThis: false },
  degraded: [],
};

test("the cluster is its parts in a line each, and its replicas in a table with this one first", () => {
  expect(clusterText(cluster, NOW).join("\n\n").split("\n")).toEqual([
    "Cluster    3 replicas, 1 silent, led by http://10.0.0.7:5002",
    "Ledger     pg.test/entrepot: up for 2 h, 12 ms behind, 0 facts to tell",
    "Shared     https://s3.test/bucket/prefix: up for 2 h, 1.5 TiB of 2 TiB used, 120000 blobs, 3 blobs to write",
    "",
    "REPLICA               STATE     VERSION  LAST SEEN",
    "http://10.0.0.8:5002  this one  0.2.0    -",
    "http://10.0.0.9:5002  silent    -        1 min ago",
    "http://10.0.0.7:5002  living    0.2.0    just now",
  ]);
});

test("without a ledger and a store, only the replicas are shown", () => {
  const [line] = clusterText({ members: cluster.members.slice(0, 2), degraded: [] }, NOW);
  expect(line).toBe("Cluster    2 replicas, all living");
});

test("a ledger that is away says how old is what was heard", () => {
  const ledger = {
    state: "away",
    since: ago(300),
    name: "pg.test",
    lag: 301_000,
    untold: 1,
  } as const;
  expect(clusterText({ ...cluster, ledger }, NOW)[0]).toContain(
    "\nLedger     pg.test: away for 5 min, last read 5 min ago, 1 fact to tell\n",
  );
});

test("of many replicas the first 16 are shown, and what others call themselves stays in its cell", () => {
  const members = Array.from({ length: 40 }, (_, at) => ({
    id: `r${at}\nREPLICA`,
    state: "living" as const,
  }));
  const [, text = ""] = clusterText({ members, degraded: [] }, NOW);
  expect(text.split("\n")).toHaveLength(18);
  expect(text).toEndWith("\n… and 24 more");
});
