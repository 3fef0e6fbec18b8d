import { expect, test } from "bun:test";
import type { NodeRecord } from "../../store/history-store.ts";
import { repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import type { ServedRequest } from "../served-request.ts";
import { KnownNodes } from "./known-nodes.ts";

function served(client: string, at: number, userAgent = "containerd/2.1.4"): ServedRequest {
  return {
    at,
    milliseconds: 1,
    client,
    userAgent,
    repo: repositoryRef("docker.io", "library/nginx"),
    kind: "manifest",
    reference: tag("1"),
    result: "hit",
    bytes: 1,
  };
}

/** The nodes of the next process. */
async function afterRestart(nodes: KnownNodes): Promise<KnownNodes> {
  const next = new KnownNodes();
  await next.load({ nodes: async () => [...nodes.changed().records] });
  return next;
}

test("a node is known by its last pull and its own report, also after a restart", async () => {
  const nodes = new KnownNodes();
  nodes.add([served("10.0.0.1", 5), served("10.0.0.1", 9), served("10.0.0.2", 7, "docker/28.0.0")]);
  const report = { state: "proved", reportedAt: 8, provedAt: 8, runtimes: ["containerd"] } as const;
  nodes.reported("10.0.0.1", "worker-1", { ...report, runtimes: [...report.runtimes] });
  const first = { address: "10.0.0.1", name: "worker-1", lastPullAt: 9, runtime: "containerd" };
  const second = { address: "10.0.0.2", lastPullAt: 7, runtime: "docker", version: "28.0.0" };
  expect(nodes.all).toMatchObject([{ ...first, requests: 2, wired: report }, second]);
  const next = await afterRestart(nodes);
  expect(next.all).toMatchObject([{ ...first, requests: 0, wired: report }, second]);
  expect(next.changed().records).toEqual([]);
});

test("after the clock was set back, a last pull is not in the future", async () => {
  const [before, after] = [5_000_000, 1_000_000];
  const nodes = new KnownNodes(() => after);
  nodes.add([served("10.0.0.1", before), served("10.0.0.2", before)]);
  nodes.add([served("10.0.0.1", after - 9), served("10.0.0.1", after - 10)]);
  expect(nodes.all.map(({ lastPullAt }) => lastPullAt)).toEqual([after, after - 9]);
  expect(nodes.changed().records[0]?.pulledAt).toBe(after - 9);
});

test("when it was proved stays known until it is unwired", () => {
  const nodes = new KnownNodes();
  const told = (state: "proved" | "wired" | "unwired", reportedAt: number) =>
    nodes.reported("10.0.0.1", undefined, {
      state,
      reportedAt,
      runtimes: [],
      ...(state === "proved" ? { provedAt: reportedAt } : {}),
    }).wired?.provedAt;
  expect([told("proved", 3), told("wired", 5), told("unwired", 7), told("wired", 9)]).toEqual([
    3,
    3,
    undefined,
    undefined,
  ]);
});

test("what changes while it is written is written again", () => {
  const nodes = new KnownNodes();
  nodes.add([served("10.0.0.1", 5), served("10.0.0.2", 5)]);
  const { records, written } = nodes.changed();
  expect(records).toHaveLength(2);
  nodes.add([served("10.0.0.2", 6)]);
  written();
  expect(nodes.changed().records.map(({ address }) => address)).toEqual(["10.0.0.2"]);
});

test("a report that cannot be read, and a user agent that is too long, are as none", async () => {
  const nodes = new KnownNodes();
  const reports = ["{", "null", "3", '{"wired":{"state":"?"}}', '{"name":7}'];
  const records: NodeRecord[] = reports.map((report, index) => ({
    address: `10.0.0.${index}`,
    userAgent: "",
    pulledAt: 1,
    report,
  }));
  await nodes.load({ nodes: async () => records });
  nodes.add([served("10.0.0.9", 2, "x".repeat(10_000))]);
  expect(nodes.count).toBe(6);
  expect(nodes.all.filter(({ wired, name, runtime }) => wired ?? name ?? runtime)).toEqual([]);
});

test("five thousand nodes are kept, those that pulled last", () => {
  const nodes = new KnownNodes();
  nodes.add(Array.from({ length: 6000 }, (_, number) => served(`node ${number}`, number)));
  expect(nodes.count).toBe(5000);
  expect(nodes.all[0]?.address).toBe("node 5999");
});
