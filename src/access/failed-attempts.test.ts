import { expect, test } from "bun:test";
import { FailedAttempts } from "./failed-attempts.ts";

/** Attempts whose delays end when the test says so. */
function waiting() {
  const delays: number[] = [];
  const ends: (() => void)[] = [];
  const attempts = new FailedAttempts((milliseconds) => {
    delays.push(milliseconds);
    const { promise, resolve } = Promise.withResolvers<void>();
    ends.push(resolve);
    return promise;
  });
  return { attempts, delays, endAll: () => ends.splice(0).forEach((end) => end()) };
}

test("each wrong token of an address is answered later than the one before", async () => {
  const { attempts, delays, endAll } = waiting();
  for (let count = 0; count < 8; count += 1) {
    const answered = attempts.failed("10.0.0.1");
    endAll();
    await answered;
  }
  void attempts.failed("10.0.0.2");
  expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000, 100]);
});

test("an address has few attempts waiting, and is free again once they are answered", async () => {
  const { attempts, endAll } = waiting();
  const answered = Array.from({ length: 8 }, () => attempts.failed("10.0.0.1"));
  expect(attempts.areTooMany("10.0.0.1")).toBe(true);
  // The same host over a socket for both versions of IP.
  expect(attempts.areTooMany("::ffff:10.0.0.1")).toBe(true);
  expect(attempts.areTooMany("10.0.0.2")).toBe(false);
  endAll();
  await Promise.all(answered);
  expect(attempts.areTooMany("10.0.0.1")).toBe(false);
});

test("the addresses of one IPv6 network count as one", () => {
  const { attempts } = waiting();
  for (let host = 1; host <= 8; host += 1) void attempts.failed(`2001:db8::${host}`);
  expect(attempts.areTooMany("2001:db8::ffff:1")).toBe(true);
  expect(attempts.areTooMany("2001:db8:0:1::1")).toBe(false);
});

test("however many addresses guess, a bounded number of attempts waits", () => {
  const { attempts } = waiting();
  for (let host = 0; host < 256; host += 1) void attempts.failed(`10.0.1.${host}`);
  expect(attempts.areTooMany("10.0.0.1")).toBe(true);
});
