import { expect, test } from "bun:test";
import { SlowTimes } from "./slow-times.ts";

test("time in which several waits go on counts once, quick ones and what is long ago not at all", () => {
  let now = 0;
  const times = new SlowTimes(() => now);
  const at = <Result>(time: number, run: () => Result): Result => {
    now = time;
    return run();
  };
  const first = at(1000, () => times.begin());
  const second = at(2000, () => times.begin());
  const quick = at(2500, () => times.begin());
  at(2999, quick);
  at(4000, first);
  at(4000, first);
  expect([times.longest, times.within(10_000)]).toEqual([2000, 3000]);
  at(6000, second);
  expect([times.longest, times.within(10_000), times.within(3000)]).toEqual([0, 5000, 3000]);
  at(9000, () => times.begin());
  now = 9400;
  expect([times.within(10_000), times.within(4400)]).toEqual([5000, 1000]);
  now = 10_000;
  expect([times.within(20_000), times.within(4400)]).toEqual([6000, 1400]);
  now = 100_000;
  expect(times.within(10_000)).toBe(10_000);
});
