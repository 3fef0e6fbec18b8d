import { expect, test } from "bun:test";
import { DiskPace } from "./disk-pace.ts";

const MIB = 1024 * 1024;

/** A pace by a clock that stands still until it is told to go on. */
function pace() {
  let now = 0;
  let reports = 0;
  const subject = new DiskPace({ onSlow: () => (reports += 1), now: () => now });
  const pass = (milliseconds: number): void => {
    now += milliseconds;
  };
  const write = (bytes: number, milliseconds: number): Promise<void> =>
    subject.write(bytes, async () => pass(milliseconds));
  return { subject, pass, write, reports: () => reports };
}

test("a disk is slow if a fill mostly waits for it, and it writes little meanwhile", async () => {
  const { subject, pass, write, reports } = pace();
  // The source is slow.
  await write(MIB, 500);
  pass(2500);
  subject.look();
  expect(subject.isSlow).toBe(false);
  // The disk limits the fill, but writes 20 MiB/s.
  await write(60 * MIB, 3000);
  subject.look();
  expect(subject.isSlow).toBe(false);
  await write(5 * MIB, 2900);
  pass(100);
  subject.look();
  expect([subject.isSlow, reports()]).toEqual([true, 1]);
  await write(MIB, 100);
  pass(2900);
  subject.look();
  expect([subject.isSlow, reports()]).toEqual([false, 1]);
});

test("a write that does not end is noticed, and counts once", async () => {
  const { subject, pass, reports } = pace();
  const disk = Promise.withResolvers<void>();
  const writing = subject.write(MIB, () => disk.promise);
  for (let window = 1; window <= 2; window += 1) {
    pass(3000);
    subject.look();
    expect([subject.isSlow, reports()]).toEqual([true, window]);
  }
  disk.resolve();
  await writing;
  pass(3000);
  subject.look();
  expect(subject.isSlow).toBe(false);
});
