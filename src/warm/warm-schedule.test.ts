import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { until } from "../../test/harness/waiting.ts";
import { parseSchedule } from "../config/warm/schedule.ts";
import type { WarmList } from "../config/warm/warm-schema.ts";
import { WarmSchedule } from "./warm-schedule.ts";

function list(name: string, text: string, max = 20): WarmList {
  const parsed = parseSchedule(text, "UTC");
  if (typeof parsed === "string") throw new Error(parsed);
  const empty = { images: [], from: [], platforms: [], referrers: false, pin: false };
  return { name, ...empty, max, schedule: parsed };
}

const NOON = Date.UTC(2026, 10, 28, 12);
const MINUTE = 60_000;

/** A schedule whose clock a test sets. */
function schedule(run: (list: WarmList) => Promise<boolean> = async () => true) {
  const clock = { now: NOON };
  const ran: string[] = [];
  const subject = new WarmSchedule({
    now: () => clock.now,
    run: (due) => {
      ran.push(`${due.name} ${(clock.now - NOON) / MINUTE}`);
      return run(due);
    },
  });
  return {
    subject,
    ran,
    async at(minutes: number): Promise<void> {
      clock.now = NOON + minutes * MINUTE;
      await subject.look();
    },
    [Symbol.dispose]: () => subject[Symbol.dispose](),
  };
}

test("lists are warmed soon after the start, and then when they are due", async () => {
  using it = schedule();
  it.subject.configure([list("hourly", "@hourly"), list("late", "30 14 * * *")]);
  for (let minute = 0; minute <= 180; minute += 1) await it.at(minute);
  expect(it.ran).toEqual([
    "hourly 1",
    "late 1",
    "hourly 60",
    "hourly 120",
    "late 150",
    "hourly 180",
  ]);
});

test("a changed list is warmed soon, one that is gone not any more, and the others as before", async () => {
  using it = schedule();
  it.subject.configure([list("one", "@hourly"), list("two", "@hourly")]);
  await it.at(1);
  it.subject.configure([list("two", "@hourly"), list("three", "@hourly", 3)]);
  await it.at(2);
  it.subject.configure([list("two", "@hourly", 5), list("three", "@hourly", 3)]);
  await it.at(3);
  expect(it.ran).toEqual(["one 1", "two 1", "three 2", "two 3"]);
});

test("one that takes long is not begun again meanwhile, and one that could not be begun is, soon", async () => {
  let end: (hasBegun: boolean) => void = () => {};
  using it = schedule(() => new Promise((resolve) => (end = resolve)));
  it.subject.configure([list("long", "* * * * *")]);
  const first = it.at(1);
  await it.at(2);
  await it.at(3);
  expect(it.ran).toEqual(["long 1"]);
  end(false);
  await first;
  void it.at(4);
  expect(it.ran).toEqual(["long 1", "long 4"]);
  end(true);
});

test("a list that waits keeps no other one waiting, and three are warmed at once", async () => {
  const ends = new Map<string, () => void>();
  const waiting = new Set(["a", "b", "c"]);
  using it = schedule(({ name }) => {
    if (!waiting.has(name)) return Promise.resolve(true);
    return new Promise((resolve) => ends.set(name, () => resolve(true)));
  });
  it.subject.configure([list("a", "@hourly"), list("d", "@hourly")]);
  void it.at(1);
  // What does not wait is planned anew before the clock goes on.
  await setImmediate();
  await it.at(60);
  expect(it.ran).toEqual(["a 1", "d 1", "d 60"]);
  it.subject.configure(["a", "b", "c", "d"].map((name) => list(name, "@hourly")));
  void it.at(120);
  await setImmediate();
  await it.at(180);
  expect(it.ran.slice(3).toSorted()).toEqual(["b 120", "c 120"]);
  ends.get("b")?.();
  await until(() => it.ran.includes("d 180"), { what: "the list that was due" });
});

test("a clock that was ahead, and is set back, does not keep lists waiting until then", async () => {
  using it = schedule();
  it.subject.configure([list("hourly", "@hourly"), list("late", "30 14 * * *")]);
  const year = 365 * 24 * 60;
  await it.at(year);
  // What a changed configuration adds is due soon, by the clock as it is.
  it.subject.configure([list("hourly", "@hourly"), list("new", "@hourly")]);
  await it.at(0);
  await it.at(1);
  await it.at(60);
  expect(it.ran).toEqual([`hourly ${year}`, `late ${year}`, "new 1", "hourly 60", "new 60"]);
});
