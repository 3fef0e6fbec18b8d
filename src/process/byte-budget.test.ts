import { expect, test } from "bun:test";
import { ByteBudget, type Receiver } from "./byte-budget.ts";

class Recorder implements Receiver {
  isReading = false;
  pause(): void {
    this.isReading = false;
  }
  resume(): void {
    this.isReading = true;
  }
}

function receivers(count: number): Recorder[] {
  return Array.from({ length: count }, () => new Recorder());
}

function reading(all: readonly Recorder[]): string {
  return all.map(({ isReading }) => (isReading ? "r" : "-")).join("");
}

test("all may read until the budget is spent, and then none", () => {
  const budget = new ByteBudget(100);
  const all = receivers(3);
  for (const receiver of all) budget.admit(receiver);
  budget.hold(99);
  expect(reading(all)).toBe("rrr");
  budget.hold(1);
  expect(reading(all)).toBe("---");
});

test("those that were stopped read on in order, one for each release, and all while half is left", () => {
  const budget = new ByteBudget(100);
  const all = receivers(4);
  const releases = [60, 20, 30].map((bytes) => budget.hold(bytes));
  for (const receiver of all) budget.admit(receiver);
  expect(reading(all)).toBe("----");
  releases[2]?.();
  expect(reading(all)).toBe("r---");
  releases[1]?.();
  expect(reading(all)).toBe("rr--");
  releases[0]?.();
  expect(reading(all)).toBe("rrrr");
});

test("one that has left is neither stopped nor started, and releasing twice changes nothing", () => {
  const budget = new ByteBudget(10);
  const [staying, leaving] = receivers(2);
  if (!staying || !leaving) throw new Error("unreachable");
  const release = budget.hold(10);
  budget.admit(staying);
  budget.admit(leaving);
  budget.leave(leaving);
  release();
  release();
  expect(budget.held).toBe(0);
  expect(reading([staying, leaving])).toBe("r-");
});
