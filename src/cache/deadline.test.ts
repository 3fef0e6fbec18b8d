import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { Deadline } from "./deadline.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

test("work that finishes in time resolves to its result, late work to undefined", async () => {
  const deadline = new Deadline(20_000);
  const { promise, resolve } = Promise.withResolvers<string>();
  expect(await deadline.within(Promise.resolve("at once"))).toBe("at once");
  const inTime = deadline.within(promise);
  const late = deadline.within(new Promise(() => {}));
  jest.advanceTimersByTime(19_000);
  resolve("in time");
  expect(await inTime).toBe("in time");
  jest.advanceTimersByTime(1000);
  expect(await late).toBeUndefined();
});

test("work that begins in the middle of a tick does not expire late", async () => {
  const deadline = new Deadline(20_000);
  void deadline.within(new Promise(() => {}));
  jest.advanceTimersByTime(300);
  const late = deadline.within(new Promise(() => {}));
  jest.advanceTimersByTime(20_000);
  expect(await late).toBeUndefined();
});

test("a rejection is passed through, and the clock stops when no work is pending", async () => {
  const deadline = new Deadline(20_000);
  const failed = deadline.within(Promise.reject(new Error("broken")));
  expect(await failed.catch((error: unknown) => String(error))).toBe("Error: broken");
  jest.advanceTimersByTime(20_000);
  expect(jest.getTimerCount()).toBe(0);
});
