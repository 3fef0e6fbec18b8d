import { expect, test } from "bun:test";
import { Fault, type FaultDetail } from "../../oci/fault.ts";
import { NegativeCache } from "./negative-cache.ts";

const upstream = "reg.test";

test.each<[string, number, FaultDetail]>([
  ["not-found", 30_000, { kind: "not-found", what: "blob", upstream, name: "x" }],
  ["upstream-failed", 5000, { kind: "upstream-failed", upstream, status: 500 }],
  ["upstream-denied", 5000, { kind: "upstream-denied", upstream, name: "x", status: 401 }],
  ["upstream-rate-limited", 0, { kind: "upstream-rate-limited", upstream, retryAfter: 60 }],
  ["overloaded", 0, { kind: "overloaded", upstream }],
  ["storage", 0, { kind: "storage", reason: "full" }],
])("a fault of kind %s is cached for %d ms", async (_, ttl, detail) => {
  const clock = { now: 1 };
  const negativeCache = new NegativeCache(() => clock.now);
  let calls = 0;
  const run = () =>
    negativeCache
      .run("a", async () => {
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
  expect(await negativeCache.run("b", async () => "fine")).toBe("fine");
});

test("the failure of a request from before clear() is not cached", async () => {
  const negativeCache = new NegativeCache();
  const missing = new Fault({ kind: "not-found", what: "blob", upstream, name: "x" });
  const response = Promise.withResolvers<string>();
  const first = negativeCache.run("a", () => response.promise).catch((error: unknown) => error);
  const second = negativeCache
    .run("b", () => Promise.reject(missing))
    .catch((error: unknown) => error);
  expect(await second).toBe(missing);
  negativeCache.clear();
  response.reject(missing);
  expect(await first).toBe(missing);
  for (const key of ["a", "b"])
    expect(await negativeCache.run(key, async () => "fine")).toBe("fine");
});
