import { expect, test } from "bun:test";
import { digestNumber } from "../storetest/sample-names.ts";
import { RemovalLog } from "./removal-log.ts";

test("`since` tells of each blob whether it was removed after a time", () => {
  const removals = new RemovalLog();
  const [one, other] = [digestNumber(1), digestNumber(2)];
  const before = removals.now;
  removals.add(one);
  expect([removals.since(before, one), removals.since(before, other)]).toEqual([true, false]);
  const after = removals.now;
  expect(removals.since(after, one)).toBe(false);
  removals.add(one);
  expect(removals.since(after, one)).toBe(true);
});

test("`since` is true for times that the log no longer covers", () => {
  const removals = new RemovalLog(2);
  const before = removals.now;
  removals.add(digestNumber(1));
  const between = removals.now;
  for (const number of [2, 3]) removals.add(digestNumber(number));
  expect(removals.since(before, digestNumber(1))).toBe(true);
  // That includes blobs which never were in the log, but not times that it covers.
  expect(removals.since(before, digestNumber(9))).toBe(true);
  expect(removals.since(between, digestNumber(9))).toBe(false);
  expect(removals.since(between, digestNumber(3))).toBe(true);
});
