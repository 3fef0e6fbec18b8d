import { expect, test } from "bun:test";
import {
  addQuantities,
  convertQuantity,
  formatDuration,
  parseGoDuration,
} from "./kubernetes-quantities.ts";

test.each([
  ["10Gi", "10Gi"],
  ["1.5Ti", "1.5Ti"],
  ["5G", "5GB"],
  ["500k", "500KB"],
  ["1e9", "1000000000"],
  ["2Pi", "2251799813685248"],
  ["4096", "4096"],
  ["0", "0"],
  ["-1Gi", undefined],
  ["10GiB", undefined],
  ["ten", undefined],
  ["", undefined],
])("the quantity %p is converted to %p", (text, expected) => {
  expect(convertQuantity(text)).toBe(expected);
});

test.each([
  ["168h", 604_800_000, "168h"],
  ["1h30m", 5_400_000, "90m"],
  ["90s", 90_000, "90s"],
  ["1.5s", 1_500, "1500ms"],
  ["0", 0, 0],
  ["0s", 0, 0],
  ["-1h", -3_600_000, undefined],
])("the Go duration %s is %d ms, formatted as %p", (text, milliseconds, written) => {
  expect(parseGoDuration(text)).toBe(milliseconds);
  if (written !== undefined) expect(formatDuration(milliseconds)).toBe(written);
});

test.each(["7d", "week", "", "1", "h"])("%j is not a valid Go duration", (text) => {
  expect(parseGoDuration(text)).toBeUndefined();
});

test.each([
  [["100Gi", "10Gi", "10Gi"], "120Gi"],
  [["1Ti", "512Gi"], "1536Gi"],
  [["5G", "10Gi"], "15009Mi"],
  [["1.5Gi"], "1536Mi"],
  [["1e9", "1"], "954Mi"],
])("%p add up to %s", (quantities, sum) => {
  expect(addQuantities(quantities)).toBe(sum);
});
