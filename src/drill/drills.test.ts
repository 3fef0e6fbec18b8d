import { expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { tempDir, type TempDir } from "../../test/harness/temp-dir.ts";
import { until } from "../../test/harness/waiting.ts";
import type { Drill } from "../api/drill.ts";
import { Outages } from "../upstream/outages.ts";
import type { DrilledRequest } from "./drill-counts.ts";
import { DrillFile } from "./drill-file.ts";
import { Drills, type DrillsOptions } from "./drills.ts";

const START = Date.UTC(2026, 10, 28, 22, 0, 0);

interface Told {
  readonly begun: Drill[];
  readonly ended: Drill[];
  readonly failures: unknown[];
}

function openDrills(path: string, now: () => number, unready?: DrillsOptions["unready"]) {
  const told: Told = { begun: [], ended: [], failures: [] };
  const outages = new Outages();
  const drills = new Drills({
    outages,
    ...(unready ? { unready } : {}),
    file: new DrillFile(path),
    now,
    events: {
      begun: (drill) => void told.begun.push(drill),
      ended: (drill) => void told.ended.push(drill),
      failed: (error) => void told.failures.push(error),
    },
  });
  /** Why a request to an upstream fails. */
  const faultOf = (upstream: string): string | undefined => {
    const { controller, close } = outages.open(upstream, undefined);
    close();
    const reason: unknown = controller.signal.reason;
    return reason instanceof Error ? reason.message : undefined;
  };
  return { drills, told, faultOf };
}

async function folder(): Promise<{ dir: TempDir; path: string }> {
  const dir = await tempDir();
  return { dir, path: dir.file("drill.json") };
}

function requestOf(
  image: string,
  outcome: DrilledRequest["outcome"],
  error?: string,
): DrilledRequest {
  return { upstream: "docker.io", image, outcome, error };
}

test("a drill has its upstreams count as dead, counts what is asked of them, and is stopped", async () => {
  const { dir, path } = await folder();
  await using cleanup = new AsyncDisposableStack();
  cleanup.use(dir);
  const { drills, told, faultOf } = openDrills(path, () => START);
  cleanup.use(drills);
  drills.count(requestOf("docker.io/library/before:1", "failed"));
  const begun = drills.begin(["docker.io", "ghcr.io", "docker.io"], 600);
  expect(begun).toEqual({
    upstreams: ["docker.io", "ghcr.io"],
    startedAt: START,
    endsAt: START + 600_000,
    countedSince: START,
    requests: { served: 0, stale: 0, failed: 0 },
    images: [],
  });
  expect(faultOf("docker.io")).toBe(
    "docker.io cannot be reached: a drill has it count as dead until 2026-11-28T22:10:00Z",
  );
  expect(faultOf("quay.io")).toBeUndefined();
  expect(() => drills.begin(["quay.io"], 1)).toThrow(
    "a drill of docker.io, ghcr.io goes on until 2026-11-28T22:10:00Z",
  );
  drills.count(requestOf("docker.io/library/a:1", "served"));
  drills.count(requestOf("docker.io/library/b:1", "stale"));
  drills.count(requestOf("docker.io/library/c:1", "failed", "first"));
  drills.count(requestOf("docker.io/library/c:1", "failed", "second"));
  drills.count({ upstream: "quay.io", image: "quay.io/d:1", outcome: "failed" });
  const ended = await drills.stop();
  expect(ended).toMatchObject({
    endedAt: START,
    requests: { served: 1, stale: 1, failed: 2 },
    images: [
      { image: "docker.io/library/c:1", served: 0, stale: 0, failed: 2, error: "second" },
      { image: "docker.io/library/b:1", served: 0, stale: 1, failed: 0 },
      { image: "docker.io/library/a:1", served: 1, stale: 0, failed: 0 },
    ],
  });
  expect(faultOf("docker.io")).toBeUndefined();
  expect(existsSync(path)).toBe(false);
  expect(told).toEqual({ begun: [begun], ended: [ended], failures: [] });
  expect(drills.upstreams).toEqual([]);
  expect(drills.all).toEqual({ last: ended });
  expect(drills.stop()).rejects.toThrow("no drill goes on");
});

test("a drill ends by itself", async () => {
  const { dir, path } = await folder();
  await using cleanup = new AsyncDisposableStack();
  cleanup.use(dir);
  const { drills, told, faultOf } = openDrills(path, Date.now);
  cleanup.use(drills);
  drills.begin(["docker.io"], 0.02);
  await until(() => told.ended.length === 1, { what: "the end" });
  expect(faultOf("docker.io")).toBeUndefined();
  expect(drills.upstreams).toEqual([]);
});

test("after a restart it goes on until its time, and not longer", async () => {
  const { dir, path } = await folder();
  await using _ = dir;
  const first = openDrills(path, () => START);
  first.drills.begin(["docker.io"], 600);
  first.drills[Symbol.dispose]();
  const later = START + 599_000;
  const second = openDrills(path, () => later);
  expect(second.faultOf("docker.io")).toContain("until 2026-11-28T22:10:00Z");
  expect(second.told.begun).toMatchObject([{ startedAt: START, countedSince: later }]);
  second.drills[Symbol.dispose]();
  for (const now of [START + 600_000, START - 1]) {
    const third = openDrills(path, () => now);
    expect(third.faultOf("docker.io")).toBeUndefined();
    expect(existsSync(path)).toBe(false);
    new DrillFile(path).write({
      upstreams: ["docker.io"],
      startedAt: START,
      endsAt: START + 600_000,
    });
  }
});

test.each(["", "{", "[]", '{"upstreams":[],"startedAt":0,"endsAt":9e15}', '{"upstreams":"a"}'])(
  "a damaged file %p is no drill",
  async (text) => {
    const { dir, path } = await folder();
    await using _ = dir;
    writeFileSync(path, text);
    expect(openDrills(path, () => START).drills.upstreams).toEqual([]);
  },
);

test("a drill begins also where its file cannot be written, and says that it will not be remembered", () => {
  const { drills, told, faultOf } = openDrills("/proc/no/drill.json", () => START);
  using _ = drills;
  drills.begin(["docker.io"], 600);
  expect(faultOf("docker.io")).toBeDefined();
  expect(told.failures).toHaveLength(1);
});

test("of a thousand images each is counted, and further requests as a sum", async () => {
  const { drills } = openDrills("/proc/no/drill.json", () => START);
  using _ = drills;
  drills.begin(["docker.io"], 600);
  for (let at = 0; at < 1010; at += 1) drills.count(requestOf(`docker.io/a:${at}`, "served"));
  drills.count(requestOf("docker.io/a:0", "failed"));
  const { current } = drills.all;
  expect(current?.images).toHaveLength(1000);
  expect(current).toMatchObject({
    uncounted: 10,
    requests: { served: 1010, stale: 0, failed: 1 },
  });
});

test("what is wanted and not here is looked at as a drill begins, and again as it ends", async () => {
  const missing = [{ image: "docker.io/library/a:1", reason: "2 of 3 blobs are missing" }];
  const answers = [Promise.resolve(missing), Promise.withResolvers<typeof missing>()] as const;
  const asked: (readonly string[])[] = [];
  const { drills, faultOf } = openDrills(
    "/proc/no/drill.json",
    () => START,
    (upstreams) => {
      asked.push(upstreams);
      return asked.length === 1 ? answers[0] : answers[1].promise;
    },
  );
  using _ = drills;
  drills.begin(["docker.io"], 600);
  await until(() => drills.all.current?.unready?.length === 1, { what: "the first look" });
  const stopped = drills.stop();
  // It is over at once, and its report comes when it is complete.
  expect(faultOf("docker.io")).toBeUndefined();
  expect(drills.all).toMatchObject({ current: { endedAt: START, unready: missing } });
  expect(drills.all.last).toBeUndefined();
  answers[1].resolve([]);
  expect((await stopped).unready).toEqual([]);
  expect(drills.all.current).toBeUndefined();
  expect(drills.all.last?.unready).toEqual([]);
  expect(asked).toEqual([["docker.io"], ["docker.io"]]);
});
