import { expect, test } from "bun:test";
import { SharedStoreError } from "./shared-store-error.ts";
import { StoreBreaker } from "./store-breaker.ts";

const error = new SharedStoreError("the store", { kind: "unreachable", reason: "no route" });

function breakerAt(): { breaker: StoreBreaker; clock: { now: number } } {
  const clock = { now: 0 };
  const times = { first: 2000, longest: 30_000 };
  return {
    clock,
    breaker: new StoreBreaker(
      times,
      () => clock.now,
      () => 1,
    ),
  };
}

test("each failure keeps requests away for twice as long, up to half a minute", () => {
  const { breaker, clock } = breakerAt();
  const waits: number[] = [];
  for (let round = 0; round < 6; round += 1) {
    expect(breaker.admit()).toBe(true);
    breaker.failed(error);
    waits.push(breaker.wait);
    clock.now += breaker.wait - 1;
    expect(breaker.admit()).toBe(false);
    clock.now += 1;
  }
  expect(waits).toEqual([2000, 4000, 8000, 16_000, 30_000, 30_000]);
});

test("requests that fail together count once", () => {
  const { breaker } = breakerAt();
  for (let request = 0; request < 20; request += 1) breaker.admit();
  for (let request = 0; request < 20; request += 1) breaker.failed(error);
  expect(breaker.wait).toBe(2000);
});

test("a single request is tried, and its success lets all through", () => {
  const { breaker, clock } = breakerAt();
  breaker.failed(error);
  clock.now += 2000;
  expect(breaker.isPassable).toBe(true);
  expect([breaker.admit(), breaker.admit()]).toEqual([true, false]);
  breaker.abandoned();
  expect([breaker.admit(), breaker.admit()]).toEqual([true, false]);
  expect(breaker.succeeded()).toBe(true);
  expect([breaker.admit(), breaker.admit(), breaker.error]).toEqual([true, true, undefined]);
  expect(breaker.succeeded()).toBe(false);
});
