import { expect, test } from "bun:test";
import { RunningSegment } from "./running-segment.ts";

const MIB = 1024 * 1024;

function segment() {
  const clock = { now: 0 };
  const running = new RunningSegment({ first: 0, end: 16 * MIB }, "extra", () => clock.now);
  /** Whether who waits for its bytes is held up, where each connection receives 10 MiB/s. */
  const isLate = () => running.isLate(running.received, 10 * MIB, MIB);
  return { clock, running, isLate };
}

test("a segment whose connection brings nothing for three seconds is late", () => {
  const { clock, running, isLate } = segment();
  running.gets(5 * MIB);
  running.reads();
  clock.now += 2999;
  expect(isLate()).toBe(false);
  clock.now += 1;
  expect(isLate()).toBe(true);
});

test("a segment that is much slower than the others is late, unless it is nearly there", () => {
  const { clock, running, isLate } = segment();
  for (; clock.now < 3000; clock.now += 500) {
    running.gets(MIB / 2);
    running.reads();
  }
  expect(isLate()).toBe(true);
  running.gets(12 * MIB + 1);
  running.reads();
  expect(isLate()).toBe(false);
});

test("a segment is not late for the time in which the disk hangs", () => {
  const { clock, running, isLate } = segment();
  clock.now += 100;
  running.gets(MIB);
  clock.now += 60_000;
  expect(isLate()).toBe(false);
  running.reads();
  clock.now += 2800;
  expect(isLate()).toBe(false);
  running.gets(10 * MIB);
  running.reads();
  clock.now += 200;
  expect(isLate()).toBe(false);
});
