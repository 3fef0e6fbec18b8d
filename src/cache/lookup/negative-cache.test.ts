import { expect, test } from "bun:test";
import { Fault, type FaultDetail } from "../../oci/fault.ts";
import { NegativeCache } from "./negative-cache.ts";

const upstream = "reg.test";

test.each<[string, FaultDetail, number]>([
  ["missing", { kind: "not-found", what: "blob", upstream, name: "x" }, 30_000],
  ["failed", { kind: "upstream-failed", upstream, status: 500 }, 5000],
  ["denied", { kind: "upstream-denied", upstream, name: "x", status: 401 }, 5000],
  ["limited", { kind: "upstream-rate-limited", upstream, retryAfter: 60 }, 0],
  ["overloaded", { kind: "overloaded", upstream }, 0],
  ["storage", { kind: "storage", reason: "full" }, 0],
])("what is %s is not asked again for its time", async (_, detail, kept) => {
  const clock = { now: 1 };
  const negativeCache = new NegativeCache(() => clock.now);
  let asked = 0;
  const ask = () =>
    negativeCache
      .run("a", async () => {
        asked += 1;
        throw new Fault(detail);
      })
      .catch((error: unknown) => error);
  await ask();
  clock.now += Math.max(kept - 1, 0);
  expect(await ask()).toBeInstanceOf(Fault);
  expect(asked).toBe(kept > 0 ? 1 : 2);
  clock.now += 2;
  await ask();
  expect(asked).toBe(kept > 0 ? 2 : 3);
  expect(await negativeCache.run("b", async () => "fine")).toBe("fine");
});

test("nothing is remembered that was asked before all was forgotten", async () => {
  const negativeCache = new NegativeCache();
  const missing = new Fault({ kind: "not-found", what: "blob", upstream, name: "x" });
  const answer = Promise.withResolvers<string>();
  const early = negativeCache.run("a", () => answer.promise).catch((error: unknown) => error);
  const fails = negativeCache
    .run("b", () => Promise.reject(missing))
    .catch((error: unknown) => error);
  expect(await fails).toBe(missing);
  negativeCache.forget();
  answer.reject(missing);
  expect(await early).toBe(missing);
  for (const key of ["a", "b"])
    expect(await negativeCache.run(key, async () => "fine")).toBe("fine");
});
