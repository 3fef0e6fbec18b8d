import { expect, test } from "bun:test";
import { type WorkerConditions, workerPlan } from "./worker-plan.ts";

const GIB = 1024 ** 3;

const machine: WorkerConditions = {
  processors: 8,
  memory: 16 * GIB,
  canShareSockets: true,
  areDescriptorsFew: false,
  threads: Infinity,
};

test.each([
  [1, 1],
  [2, 1],
  [3, 2],
  [4, 3],
  [5, 4],
  [64, 4],
])("with %i processors, auto is %i", (processors, count) => {
  expect(workerPlan("auto", { ...machine, processors })).toEqual({ count });
});

test("a number is taken as it is where memory, descriptors and threads suffice", () => {
  for (const processors of [1, 2, 64]) {
    expect(workerPlan(12, { ...machine, processors })).toEqual({ count: 12 });
    expect(workerPlan(1, { ...machine, processors })).toEqual({ count: 1 });
  }
});

test.each<[string, Partial<WorkerConditions>, number, string]>([
  ["little memory", { memory: GIB / 8 }, 1, "the memory limit"],
  ["less memory", { memory: (5 * GIB) / 16 }, 2, "the memory limit"],
  ["another system", { canShareSockets: false }, 1, "Linux"],
  ["few descriptors", { areDescriptorsFew: true }, 1, "few file descriptors"],
  ["few threads", { threads: 5 }, 2, "the limit of threads"],
  ["no thread left", { threads: 0 }, 1, "the limit of threads"],
])("with %s there are fewer, and only who asked for more is told", (_, less, count, reason) => {
  const conditions = { ...machine, ...less };
  expect(workerPlan("auto", conditions)).toEqual({ count });
  const plan = workerPlan(4, conditions);
  expect([plan.count, plan.reason]).toEqual([count, expect.stringContaining(reason)]);
});
