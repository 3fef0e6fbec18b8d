import { expect, test } from "bun:test";
import { retryAfter } from "./retry-after.ts";

const now = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");

test.each([
  ["120", 120],
  ["0", 1],
  ["Wed, 21 Oct 2026 07:29:30 GMT", 90],
  ["Wed, 21 Oct 2026 07:00:00 GMT", 1],
  ["999999999", 86_400],
  [null, undefined],
  ["soon", undefined],
  ["-5", undefined],
])("a Retry-After of %p means %p s", (header, seconds) => {
  expect(retryAfter(header, now)).toBe(seconds);
});
