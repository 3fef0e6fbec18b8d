import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { Deadline } from "./deadline.ts";

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

test("gives what comes in time, and nothing where it does not", async () => {
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

test("what began in the middle of a tick waits no longer than was promised", async () => {
  const deadline = new Deadline(20_000);
  void deadline.within(new Promise(() => {}));
  jest.advanceTimersByTime(300);
  const late = deadline.within(new Promise(() => {}));
  jest.advanceTimersByTime(20_000);
  expect(await late).toBeUndefined();
});

test("passes a failure on, and lets the clock stop when nothing is left", async () => {
  const deadline = new Deadline(20_000);
  const failed = deadline.within(Promise.reject(new Error("broken")));
  expect(await failed.catch((error: unknown) => String(error))).toBe("Error: broken");
  jest.advanceTimersByTime(20_000);
  expect(jest.getTimerCount()).toBe(0);
});
