import { expect, test } from "bun:test";
import { formatSize, parseDuration, parseSize } from "./units.ts";

const durations: [text: string, milliseconds: number | undefined][] = [
  ["0", 0],
  ["250ms", 250],
  ["30s", 30_000],
  [" 5m ", 300_000],
  ["1h30m", 5_400_000],
  ["1.5h", 5_400_000],
  ["7d", 604_800_000],
  ["30", undefined],
  ["", undefined],
  ["s", undefined],
  ["-5s", undefined],
  ["5 s", undefined],
  ["5s5", undefined],
  ["5y", undefined],
];

test.each(durations)("the duration %p is %p ms", (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

const sizes: [text: string, bytes: number | undefined][] = [
  ["4096", 4096],
  ["10KB", 10_000],
  ["10Ki", 10_240],
  ["100GiB", 107_374_182_400],
  ["1.5 MiB", 1_572_864],
  ["", undefined],
  ["GiB", undefined],
  ["-1", undefined],
  ["1e9", undefined],
  ["1PiB", undefined],
  ["10gib", undefined],
];

test.each(sizes)("the size %p is %p bytes", (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test("sizes are formatted with binary units", () => {
  expect([0, 1023, 1536, 1048576, 157 * 1024 ** 2, 5.25 * 1024 ** 4].map(formatSize)).toEqual([
    "0 B",
    "1023 B",
    "1.5 KiB",
    "1 MiB",
    "157 MiB",
    "5.3 TiB",
  ]);
});
