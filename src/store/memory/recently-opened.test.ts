import { expect, test } from "bun:test";
import { digestNumber } from "../storetest/sample-names.ts";
import { RecentlyOpened } from "./recently-opened.ts";

test("a blob counts as recently opened for 50 to 100 ms", () => {
  let now = 0;
  const recent = new RecentlyOpened(() => now);
  const [one, two] = [digestNumber(1), digestNumber(2)];
  recent.add(one);
  now = 49;
  recent.add(two);
  expect(recent.has(one)).toBe(true);
  now = 51;
  expect(recent.has(two)).toBe(true);
  now = 102;
  expect([recent.has(one), recent.has(two)]).toEqual([false, false]);
  recent.add(one);
  now = 1000;
  expect(recent.has(one)).toBe(false);
});
