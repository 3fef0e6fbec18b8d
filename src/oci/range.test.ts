import { expect, test } from "bun:test";
import { parseContentRange, parseRange, resolveRange } from "./range.ts";

test.each([
  ["bytes=0-9", 100, [0, 9]],
  ["bytes=10-", 100, [10, 99]],
  ["bytes=-10", 100, [90, 99]],
  ["bytes=-1000", 100, [0, 99]],
  ["bytes=90-1000", 100, [90, 99]],
  ["bytes=99-99", 100, [99, 99]],
  ["Bytes = 1-2", 100, "ignored"],
  ["BYTES=1-2", 100, [1, 2]],
  ["lines=1-2", 100, "ignored"],
  ["bytes=100-", 100, "unsatisfiable"],
  ["bytes=-0", 100, "unsatisfiable"],
  ["bytes=0-", 0, "unsatisfiable"],
  ["bytes=5-1", 100, "invalid"],
  ["bytes=0-1,3-4", 100, "invalid"],
  ["bytes=", 100, "invalid"],
  ["bytes=-", 100, "invalid"],
  ["bytes=a-b", 100, "invalid"],
  ["bytes=0x1-2", 100, "invalid"],
  ["bytes=99999999999999999999-", 100, "invalid"],
] as const)("the range %p of %d bytes is %p", (header, size, expected) => {
  const request = parseRange(header);
  const range = request && resolveRange(request, size);
  if (expected === "ignored") expect(request).toBeUndefined();
  else if (expected === "invalid") expect(request?.kind).toBe("invalid");
  else if (expected === "unsatisfiable")
    expect([request?.kind === "invalid", range]).toEqual([false, undefined]);
  else expect(range).toEqual({ first: expected[0], last: expected[1] });
});

test("a valid Content-Range is parsed, an invalid or unsatisfied one is not", () => {
  expect(parseContentRange("bytes 1-2/10")).toEqual({ first: 1, last: 2, size: 10 });
  expect(parseContentRange("bytes 1-2/*")).toEqual({ first: 1, last: 2 });
  expect(parseContentRange("bytes 2-1/10")).toBeUndefined();
  expect(parseContentRange("bytes */10")).toBeUndefined();
  expect(parseContentRange(null)).toBeUndefined();
});
