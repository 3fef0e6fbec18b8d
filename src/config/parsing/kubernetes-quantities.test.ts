import { expect, test } from "bun:test";
import { goDuration, readQuantity, writeDuration } from "./kubernetes-quantities.ts";

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
])("the quantity %s is %s", (text, expected) => {
  expect(readQuantity(text)).toBe(expected);
});

test.each([
  ["168h", 604_800_000, "168h"],
  ["1h30m", 5_400_000, "90m"],
  ["90s", 90_000, "90s"],
  ["1.5s", 1_500, "1500ms"],
  ["0", 0, 0],
  ["0s", 0, 0],
  ["-1h", -3_600_000, undefined],
])("the duration %s is %d ms, written %s", (text, milliseconds, written) => {
  expect(goDuration(text)).toBe(milliseconds);
  if (written !== undefined) expect(writeDuration(milliseconds)).toBe(written);
});

test.each(["7d", "week", "", "1", "h"])("%j is no duration of Go's", (text) => {
  expect(goDuration(text)).toBeUndefined();
});
