import { expect, test } from "bun:test";
import { join } from "node:path";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { Fault } from "../oci/fault.ts";
import { DAY_MS, type HistoryBatch, HOUR_MS, MINUTE_MS } from "../store/history-store.ts";
import { openMetadata } from "../store/sql/open-metadata.ts";
import { repositoryRef, tag } from "../store/storetest/sample-names.ts";
import { NO_REQUESTS } from "../telemetry/request-counters.ts";
import type { UpstreamTotals } from "../telemetry/upstream-traffic.ts";
import { HistoryReport } from "./history-report.ts";
import { KnownNodes } from "./nodes/known-nodes.ts";
import { CountedTagPulls } from "./pulls/counted-tag-pulls.ts";
import { ImageClients } from "./pulls/image-clients.ts";
import { OTHER_UPSTREAMS, Recorder } from "./recorder.ts";
import { UpstreamActivity } from "./upstream-activity.ts";

const START = DAY_MS * 20_000 + 7 * HOUR_MS + 30_000;

/** A recorder over an empty database, whose counts and clock are set by the test. */
async function recording() {
  const metadata = await openMetadata(":memory:");
  const traffic = new Map<string, UpstreamTotals>();
  const state = { now: START, used: 0, evicted: 0, isFailing: false };
  const activity = new UpstreamActivity(() => state.now);
  const clients = new ImageClients();
  const nodes = new KnownNodes();
  const { history } = metadata;
  const add = (batch: HistoryBatch): Promise<void> =>
    state.isFailing
      ? Promise.reject(new Fault({ kind: "no-space", reason: "the disk is full" }))
      : history.add(batch);
  const errors: unknown[] = [];
  const recorder = new Recorder({
    history: {
      add,
      prune: (now) => history.prune(now),
      upstreams: () => history.upstreams(),
      of: (upstream, query) => history.of(upstream, query),
    },
    traffic: async () => traffic,
    activity,
    disk: () => state,
    nodes,
    clients,
    tagPulls: new CountedTagPulls(),
    onError: (error) => errors.push(error),
    now: () => state.now,
  });
  const report = new HistoryReport({ history, recorder, hub: "docker.io", now: () => state.now });
  return {
    metadata,
    recorder,
    report,
    activity,
    clients,
    state,
    errors,
    sent(upstream: string, totals: Partial<UpstreamTotals>) {
      traffic.set(upstream, { ...NO_REQUESTS, fetchedBytes: 0, ...totals });
    },
    async saved(period: "day" | "week" | "month" = "day") {
      return report.saved(await report.of(period));
    },
    async [Symbol.asyncDispose]() {
      await recorder[Symbol.asyncDispose]();
      await metadata.close();
    },
  };
}

test("what is not written yet is told as well, and nothing twice", async () => {
  await using all = await recording();
  all.sent("docker.io", { sentBytes: 1000, fetchedBytes: 400, cacheable: 4, fromCache: 3 });
  const before = await all.saved();
  expect(before).toMatchObject({ bytes: 600, hitRatioByBytes: 0.6, hitRatioByRequests: 0.75 });
  await all.recorder.write();
  expect(await all.saved()).toEqual(before);
  await all.recorder.write();
  expect(await all.saved()).toEqual(before);
  all.sent("docker.io", { sentBytes: 1500, fetchedBytes: 400, cacheable: 4, fromCache: 3 });
  expect(await all.saved()).toMatchObject({ bytes: 1100 });
});

test("what is known begins when the cache first ran, to the minute, however long the steps are", async () => {
  await using all = await recording();
  const begin = all.state.now;
  const minute = begin - (begin % MINUTE_MS);
  const since = async () => [
    (await all.saved("day")).since,
    (await all.saved("week")).since,
    (await all.saved("month")).since,
  ];
  expect(await since()).toEqual([minute, minute, minute]);
  all.state.now += 20_000;
  await all.recorder.write();
  expect(await since()).toEqual([minute, minute, minute]);
  // An idle cache knows as well that nothing was pulled.
  all.state.now += 2 * DAY_MS;
  await all.recorder.write();
  const hour = begin - (begin % HOUR_MS);
  expect(await since()).toEqual([undefined, hour, hour]);
});

test("what was downloaded for nobody counts against what was saved, in whichever minute", async () => {
  await using all = await recording();
  all.sent("docker.io", { fetchedBytes: 500 });
  await all.recorder.write();
  expect(await all.saved()).toMatchObject({ bytes: 0 });
  all.state.now += HOUR_MS;
  all.sent("docker.io", { fetchedBytes: 500, sentBytes: 500 });
  expect(await all.saved()).toMatchObject({ bytes: 0, hitRatioByBytes: 0 });
});

test("a minute that cannot be written is written with the next one", async () => {
  await using all = await recording();
  all.state.isFailing = true;
  const nginx = repositoryRef("docker.io", "library/nginx");
  all.clients.pulled(nginx, tag("1.27"), "10.0.0.1", START);
  all.sent("docker.io", { sentBytes: 10 });
  await all.recorder.write();
  expect(all.errors).toHaveLength(1);
  all.state.isFailing = false;
  all.clients.pulled(nginx, tag("1.27"), "10.0.0.1", START + 1);
  all.sent("docker.io", { sentBytes: 15 });
  await all.recorder.write();
  expect(await all.saved()).toMatchObject({ bytes: 15 });
  expect(await all.metadata.history.clientsOf(nginx, 10)).toMatchObject([{ pulls: 2 }]);
});

test("time not waited is what the upstream would have taken beyond what the cache took", async () => {
  await using all = await recording();
  // A tenth of a second to the headers, then a mebibyte a second.
  for (let count = 0; count < 3; count += 1) all.activity.responded("docker.io", 200, 100);
  all.activity.downloaded("docker.io", 2 ** 20, 1100);
  const ofCache = { fromCache: 10, cacheable: 10, bytesFromCache: 5 * 2 ** 20 };
  all.sent("docker.io", { ...ofCache, secondsFromCache: 2 });
  expect(await all.saved()).toMatchObject({ secondsNotWaited: 10 * 0.1 + 5 - 2 });
  // Where the cache was slower, nothing was saved; and of ghcr.io nothing is known.
  all.sent("docker.io", { ...ofCache, secondsFromCache: 60 });
  all.sent("ghcr.io", ofCache);
  expect(await all.saved()).toMatchObject({ secondsNotWaited: 0 });
});

test("a request to docker.io that was answered here is one that Docker Hub did not count", async () => {
  await using all = await recording();
  all.sent("docker.io", { manifestsFromCache: 7 });
  all.sent("quay.io", { manifestsFromCache: 100 });
  expect(await all.saved("month")).toMatchObject({ hubRequests: 7 });
});

test("figures of a hundred upstreams are kept for those of which most was asked", async () => {
  await using all = await recording();
  for (let number = 0; number < 100; number += 1)
    all.sent(`r${number}.test`, { cacheable: number + 1 });
  await all.recorder.write();
  const kept = await all.metadata.history.upstreams();
  expect(kept).toHaveLength(65);
  const { upstreams } = await all.report.of("day");
  expect(upstreams.get("r99.test")?.total.cacheable).toBe(100);
  expect(upstreams.get(OTHER_UPSTREAMS)?.total.cacheable).toBe((36 * 37) / 2);
});

test("what was written survives a process that is killed", async () => {
  await using dir = await tempDir("history");
  const path = dir.file("metadata.db");
  const program = `
    import { openMetadata } from ${JSON.stringify(join(import.meta.dir, "../store/sql/open-metadata.ts"))};
    import { NO_FIGURES } from ${JSON.stringify(join(import.meta.dir, "../store/history-store.ts"))};
    const { history } = await openMetadata(${JSON.stringify(path)});
    const upstreams = new Map([["docker.io", { ...NO_FIGURES, sent_bytes: 42 }]]);
    await history.add({ minute: ${START - (START % MINUTE_MS)}, upstreams, nodes: [], clients: [] });
    console.log("written");
    await Promise.withResolvers().promise;
  `;
  const child = Bun.spawn([process.execPath, "-e", `setInterval(() => {}, 1000);${program}`], {
    stdout: "pipe",
  });
  await child.stdout.getReader().read();
  child.kill("SIGKILL");
  await child.exited;
  const metadata = await openMetadata(path);
  const query = { resolution: HOUR_MS, from: START - HOUR_MS, step: HOUR_MS } as const;
  const steps = await metadata.history.of("docker.io", query);
  expect(steps).toMatchObject([{ figures: { sent_bytes: 42 } }]);
  await metadata.close();
});
