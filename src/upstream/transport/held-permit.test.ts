import { expect, test } from "bun:test";
import { ConcurrencyLimiter } from "./concurrency-limiter.ts";
import { HeldPermit } from "./held-permit.ts";

/** A download that may have one connection, like all others together. */
function setUp() {
  const limiter = new ConcurrencyLimiter();
  const acquire = () => limiter.acquire("blob", "reg.test", { perUpstream: 1 });
  return { limiter, acquire, place: new HeldPermit() };
}

test("a download keeps its place between its requests, though others wait", async () => {
  const { limiter, acquire, place } = setUp();
  const first = await place.take(acquire);
  const other = acquire();
  place.keep(first);
  // The request before may also end only after the next one has begun.
  const second = await place.take(acquire);
  const third = place.take(acquire);
  place.keep(second);
  place.keep(await third);
  expect(limiter.usage("blob")).toEqual({ inUse: 1, waiting: 2 });
  place.release();
  const releaseOther = await other;
  releaseOther();
  // The place that it waited for, and did not need, is free as well.
  const releaseNext = await acquire();
  releaseNext();
  expect(limiter.usage("blob")).toEqual({ inUse: 0, waiting: 0 });
});

test("a download that has ended holds nothing, also if a request of it ends later", async () => {
  const { limiter, acquire, place } = setUp();
  const release = await place.take(acquire);
  place.release();
  expect(limiter.usage("blob").inUse).toBe(1);
  place.keep(release);
  expect(limiter.usage("blob").inUse).toBe(0);
});

test("a download whose wait for a place is refused tells so", async () => {
  const { limiter, place } = setUp();
  expect(place.take(() => Promise.reject(new Error("overloaded")))).rejects.toThrow("overloaded");
  expect(limiter.usage("blob")).toEqual({ inUse: 0, waiting: 0 });
});
