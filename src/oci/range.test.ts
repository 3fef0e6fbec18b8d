import { expect, test } from "bun:test";
import { parseContentRange, parseRange, resolveRange, resolveSeveral } from "./range.ts";

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
  ["bytes=0-1,", 100, [0, 1]],
  ["bytes=", 100, "invalid"],
  ["bytes=-", 100, "invalid"],
  ["bytes=a-b", 100, "invalid"],
  ["bytes=0x1-2", 100, "invalid"],
  ["bytes=99999999999999999999-", 100, "invalid"],
] as const)("the range %p of %d bytes is %p", (header, size, expected) => {
  const request = parseRange(header);
  if (request?.kind === "several") throw new Error("is a single range");
  const range = request && resolveRange(request, size);
  if (expected === "ignored") expect(request).toBeUndefined();
  else if (expected === "invalid") expect(request?.kind).toBe("invalid");
  else if (expected === "unsatisfiable")
    expect([request?.kind === "invalid", range]).toEqual([false, undefined]);
  else expect(range).toEqual({ first: expected[0], last: expected[1] });
});

const many = Array.from({ length: 1024 }, (_, at) => `${at * 3}-${at * 3}`).join();

test.each([
  ["bytes=0-1, 3-4", "0-1 3-4"],
  ["bytes=50-59,,10-19", "50-59 10-19"],
  ["bytes=0-9,10-19", "0-9 10-19"],
  ["bytes=30-49,0-19,10-35,-1", "0-49 99-99"],
  ["bytes=90-,200-,-5,200-300", "90-99"],
  ["bytes=200-,300-", ""],
  ["bytes=0-1,b", ""],
  ["bytes=0-1,5-4", ""],
  ["bytes=,", ""],
])("the ranges %p of 100 bytes are %p", (header, expected) => {
  const request = parseRange(header);
  if (request?.kind !== "several") throw new Error("is several ranges");
  const ranges = resolveSeveral(request, 100);
  expect(ranges.map(({ first, last }) => `${first}-${last}`).join(" ")).toBe(expected);
});

test("as many ranges as podman asks for are resolved, and more are not", () => {
  const request = parseRange(`bytes=${many}`);
  expect(request?.kind === "several" && resolveSeveral(request, 4000)).toHaveLength(1024);
  expect(parseRange(`bytes=${many},99-`)).toEqual({ kind: "several", ranges: [] });
});

test("a valid Content-Range is parsed, an invalid or unsatisfied one is not", () => {
  expect(parseContentRange("bytes 1-2/10")).toEqual({ first: 1, last: 2, size: 10 });
  expect(parseContentRange("bytes 1-2/*")).toEqual({ first: 1, last: 2 });
  expect(parseContentRange("bytes 2-1/10")).toBeUndefined();
  expect(parseContentRange("bytes */10")).toBeUndefined();
  expect(parseContentRange(null)).toBeUndefined();
});
