import { expect, test } from "bun:test";
import { retryAfter } from "./status-fault.ts";

const now = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");

test.each([
  ["120", 120],
  ["0", 1],
  ["Wed, 21 Oct 2026 07:29:30 GMT", 90],
  ["Wed, 21 Oct 2026 07:00:00 GMT", 1],
  ["999999999", 86_400],
  [null, 60],
  ["soon", 60],
  ["-5", 60],
])("a Retry-After of %p means %i s", (header, seconds) => {
  expect(retryAfter(header, now)).toBe(seconds);
});
