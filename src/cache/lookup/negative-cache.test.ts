import { expect, test } from "bun:test";
import { Fault, type FaultDetail } from "../../oci/fault.ts";
import { eventLoopTurns } from "../../oci/ocitest/event-loop-turns.ts";
import { NegativeCache } from "./negative-cache.ts";

const upstream = "reg.test";

const GET_A = { asker: "GET", what: "a" } as const;
const GET_B = { asker: "GET", what: "b" } as const;

test.each<[string, number, FaultDetail]>([
  ["not-found", 5000, { kind: "not-found", what: "blob", upstream, name: "x" }],
  ["upstream-failed", 5000, { kind: "upstream-failed", upstream, status: 500 }],
  ["upstream-denied", 5000, { kind: "upstream-denied", upstream, name: "x", status: 401 }],
  ["upstream-rate-limited", 0, { kind: "upstream-rate-limited", upstream, retryAfter: 60 }],
  ["upstream-unreachable", 0, { kind: "upstream-unreachable", upstream, reason: "down" }],
  ["overloaded", 0, { kind: "overloaded", upstream }],
  ["storage", 0, { kind: "storage", reason: "full" }],
])("a fault of kind %s is cached for %d ms", async (_, ttl, detail) => {
  const clock = { now: 1 };
  const negativeCache = new NegativeCache(() => clock.now);
  let calls = 0;
  const run = () =>
    negativeCache
      .run(GET_A, 30_000, async () => {
        calls += 1;
        throw new Fault(detail);
      })
      .catch((error: unknown) => error);
  await run();
  clock.now += Math.max(ttl - 1, 0);
  expect(await run()).toBeInstanceOf(Fault);
  expect(calls).toBe(ttl > 0 ? 1 : 2);
  clock.now += 2;
  await run();
  expect(calls).toBe(ttl > 0 ? 2 : 3);
  expect(await negativeCache.run(GET_B, 30_000, async () => "fine")).toBe("fine");
});

const missing = new Fault({ kind: "not-found", what: "manifest", upstream, name: "x" });

test.each([0, 1000])("an answer lives no longer than a tagTtl of %d ms", async (tagTtl) => {
  const clock = { now: 1 };
  const negativeCache = new NegativeCache(() => clock.now);
  await negativeCache.run(GET_A, tagTtl, () => Promise.reject(missing)).catch(() => {});
  clock.now += tagTtl - 1;
  const early = negativeCache.run(GET_A, tagTtl, async () => "fine").catch(() => "missing");
  expect(await early).toBe(tagTtl === 0 ? "fine" : "missing");
  clock.now += 2;
  expect(await negativeCache.run(GET_A, tagTtl, async () => "fine")).toBe("fine");
});

test("a timeout is cached whatever tagTtl is", async () => {
  const negativeCache = new NegativeCache();
  const detail = { kind: "upstream-timeout", upstream, waitedFor: "respond", seconds: 10 } as const;
  await negativeCache.run(GET_A, 0, () => Promise.reject(new Fault(detail))).catch(() => {});
  expect(await negativeCache.run(GET_A, 0, async () => "fine").catch(() => "late")).toBe("late");
});

test("the answer to a HEAD is not that to a GET", async () => {
  const negativeCache = new NegativeCache();
  const head = { asker: "HEAD", what: "a" } as const;
  await negativeCache.run(head, 30_000, () => Promise.reject(missing)).catch(() => {});
  expect(await negativeCache.run(GET_A, 30_000, async () => "fine")).toBe("fine");
});

test("the failure of a request from before clear() is not cached", async () => {
  const negativeCache = new NegativeCache();
  const response = Promise.withResolvers<string>();
  const first = negativeCache
    .run(GET_A, 30_000, () => response.promise)
    .catch((error: unknown) => error);
  const second = negativeCache
    .run(GET_B, 30_000, () => Promise.reject(missing))
    .catch((error: unknown) => error);
  expect(await second).toBe(missing);
  negativeCache.clear();
  response.reject(missing);
  expect(await first).toBe(missing);
  for (const key of [GET_A, GET_B])
    expect(await negativeCache.run(key, 30_000, async () => "fine")).toBe("fine");
});

test("many requests begin in turns, and a failure that is known takes none", async () => {
  const negativeCache = new NegativeCache();
  const run = (what: string): Promise<unknown> =>
    negativeCache
      .run({ asker: "GET", what }, 30_000, () => Promise.reject(missing))
      .catch((error: unknown) => error);
  await run("known");
  const turns = await eventLoopTurns(async () => {
    const all = Promise.all(Array.from({ length: 80 }, (_, number) => run(`new ${number}`)));
    expect(await eventLoopTurns(() => run("known"))).toBe(0);
    await all;
  });
  expect(turns).toBeGreaterThanOrEqual(80 / 4 - 1);
});
