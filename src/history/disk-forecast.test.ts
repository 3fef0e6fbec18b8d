import { expect, test } from "bun:test";
import { DAY_MS } from "../store/history-store.ts";
import { daysUntilFull } from "./disk-forecast.ts";

const GIB = 2 ** 30;

/** What was used every six hours. */
function measured(...used: number[]) {
  return used.map((gib, index) => ({ at: (index * DAY_MS) / 4, used: gib * GIB }));
}

test.each<[title: string, used: number[], days: number | undefined]>([
  ["grows by 4 GiB a day", [10, 11, 12, 13, 14], 21.5],
  ["shrinks", [14, 13, 12], undefined],
  ["stays as it is", [14, 14, 14], undefined],
  ["grows by less than it would take a year for", [10, 10, 10.01], undefined],
  ["is full", [90, 95, 100], 0],
  ["was measured once", [50], undefined],
  ["was never measured", [], undefined],
])("a disk that %s", (_, used, days) => {
  expect(daysUntilFull(measured(...used), 100 * GIB)).toBe(days as number);
});

test("of an hour, no trend is made", () => {
  const hour = [
    { at: 0, used: 0 },
    { at: DAY_MS / 24, used: 50 * GIB },
  ];
  expect(daysUntilFull(hour, 100 * GIB)).toBeUndefined();
});
