import { expect, test } from "bun:test";
import type { Node } from "../../../api/nodes.ts";
import { Metrics } from "../../../telemetry/metrics.ts";
import { measureNodes } from "./node-gauges.ts";

test("nodes are counted by what they told last, unless that was long ago", async () => {
  const [now, longAgo] = [Date.now(), Date.now() - 25 * 60 * 60 * 1000];
  const node = (
    state: "wired" | "drifted" | undefined,
    pulled: number,
    reported: number,
  ): Node => ({
    address: "10.0.0.1",
    requests: 0,
    lastPullAt: pulled,
    ...(state ? { wired: { state, reportedAt: reported, runtimes: [] } } : {}),
  });
  const metrics = new Metrics();
  measureNodes(metrics, {
    all: [
      node("wired", now, longAgo),
      node("drifted", longAgo, now),
      node("drifted", longAgo, longAgo),
      node(undefined, now, 0),
      node(undefined, now, 0),
    ],
  });
  const lines = (await metrics.render())
    .split("\n")
    .filter((line) => line.startsWith("entrepot_nodes{"));
  expect(lines).toEqual([
    'entrepot_nodes{wiring="proved"} 0',
    'entrepot_nodes{wiring="wired"} 1',
    'entrepot_nodes{wiring="drifted"} 1',
    'entrepot_nodes{wiring="unwired"} 0',
    'entrepot_nodes{wiring="unknown"} 2',
  ]);
});
