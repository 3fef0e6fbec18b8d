import { expect, test } from "bun:test";
import { mkdir, readFile } from "node:fs/promises";
import { tempDir } from "../../../../test/harness/temp-dir.ts";
import { KnownNodes } from "../../../history/nodes/known-nodes.ts";
import type { ReadinessFell } from "../../../readiness/readiness.ts";
import { createLog } from "../../../telemetry/log.ts";
import { Metrics } from "../../../telemetry/metrics.ts";
import { OperatorEvents } from "./operator-events.ts";

test("receivers are told of nodes that are wired no longer, and of readiness that fell", async () => {
  await using dir = await tempDir("events");
  await mkdir(dir.file("data"));
  const log = createLog({ format: "json", level: "silent" });
  await using events = new OperatorEvents(dir.file("data"), log, new Metrics());
  const url = new URL("http://127.0.0.1:9/");
  const ops = { name: "ops", url, format: "cloudevents", secrets: [] } as const;
  await events.configure({ events: { source: "//here", webhooks: [ops] } });
  const nodes = new KnownNodes();
  const fell: ((fell: ReadinessFell) => void)[] = [];
  const readiness = {
    onFell: (listener: (fell: ReadinessFell) => void) => void fell.push(listener),
  };
  events.watch({ upstreams: { all: new Map() }, nodes, readiness });
  const report = (state: "proved" | "drifted" | "unwired", how?: string) =>
    nodes.reported("10.0.0.7", "node-7", {
      state,
      reportedAt: 1,
      runtimes: [],
      ...(how && { how }),
    });
  report("unwired");
  report("proved");
  report("drifted", "hosts.toml was changed");
  report("unwired");
  for (const listener of fell) {
    listener({ upstream: "ghcr.io", before: 1, ratio: 0.756, images: ["ghcr.io/org/app:1"] });
  }
  await events[Symbol.asyncDispose]();
  const lines = (await readFile(dir.file("data", "events", "ops.jsonl"), "utf8"))
    .trim()
    .split("\n");
  expect(lines.map((line) => JSON.parse(line).add)).toMatchObject([
    {
      type: "node.unwired",
      subject: "node-7",
      data: {
        message: "node-7 does not pull through this cache any more: hosts.toml was changed",
        address: "10.0.0.7",
        name: "node-7",
      },
    },
    {
      type: "readiness.fell",
      subject: "ghcr.io",
      data: {
        message: "only 75 % of the images that are wanted of ghcr.io would start without it",
        ratio: 0.756,
        previousRatio: 1,
        missing: ["ghcr.io/org/app:1"],
      },
    },
  ]);
});
