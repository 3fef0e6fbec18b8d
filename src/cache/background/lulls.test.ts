import { expect, test } from "bun:test";
import { Lulls } from "./lulls.ts";

/** Two downloads, which a test looks at. */
function lulls() {
  const clock = { now: 0 };
  const state = { areOthers: false, running: 2 };
  const subject = new Lulls(
    {
      areOthersDownloading: () => state.areOthers,
      get running() {
        return state.running;
      },
      pauseAll: () => (state.running = 0),
      resumeAll: () => (state.running = 2),
      resumeOne: () => (state.running = 1),
    },
    () => clock.now,
  );
  subject.start();
  return {
    state,
    subject,
    /** How many run after so many milliseconds. */
    after(milliseconds: number): number {
      clock.now += milliseconds;
      subject.look();
      return state.running;
    },
    [Symbol.dispose]: () => subject.stop(),
  };
}

test("it gives way the moment that a client begins, and goes on when none downloads", () => {
  using line = lulls();
  line.state.areOthers = true;
  line.subject.giveWay();
  expect(line.state.running).toBe(0);
  expect(line.subject.mayBegin).toBe(false);
  line.state.areOthers = false;
  expect(line.after(200)).toBe(2);
  expect(line.subject.mayBegin).toBe(true);
});

test("while clients never pause, one download has ten of each seventy seconds", () => {
  using line = lulls();
  line.state.areOthers = true;
  const running: number[] = [];
  for (let second = 0; second < 140; second += 1) {
    running.push(line.after(1000));
    line.subject.giveWay();
  }
  expect(running.filter((count) => count === 1)).toHaveLength(20);
  expect(running.filter((count) => count === 2)).toHaveLength(0);
  expect(running.slice(0, 60)).not.toContain(1);
});
