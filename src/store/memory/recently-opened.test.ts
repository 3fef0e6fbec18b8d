import { expect, test } from "bun:test";
import { digestNumber } from "../storetest/sample-names.ts";
import { RecentlyOpened } from "./recently-opened.ts";

test("what was handed out is left alone for a moment, and then no longer", () => {
  let now = 0;
  const leases = new RecentlyOpened(() => now);
  const [one, two] = [digestNumber(1), digestNumber(2)];
  leases.add(one);
  now = 49;
  leases.add(two);
  expect(leases.has(one)).toBe(true);
  now = 51;
  expect(leases.has(two)).toBe(true);
  now = 102;
  expect([leases.has(one), leases.has(two)]).toEqual([false, false]);
  leases.add(one);
  now = 1000;
  expect(leases.has(one)).toBe(false);
});
