import { expect, test } from "bun:test";
import { type FewInodes, InodeBudget } from "./inode-budget.ts";

const TEN_MINUTES = 600_000;

function budgetOf(total: number, free: number) {
  const clock = { now: 0 };
  const told: FewInodes[] = [];
  const budget = new InodeBudget(
    () => clock.now,
    (found) => told.push(found),
  );
  budget.measured({ total, free });
  return { budget, clock, told };
}

test("blobs that are written count until a measurement shows what they took", async () => {
  const { budget, told } = budgetOf(1000, 60);
  const evict = async () => 0;
  for (let at = 0; at < 3; at += 1) await budget.claim(evict, 1000);
  // 5 % are kept free: 60 - 3 * 4 are fewer.
  expect([budget.isTight, told.length]).toEqual([true, 0]);
  for (let at = 0; at < 3; at += 1) budget.release();
  budget.measured({ total: 1000, free: 54 });
  expect([budget.isTight, budget.shortage]).toEqual([false, 21]);
});

test("without room, a claim waits for eviction, and is never refused", async () => {
  const { budget } = budgetOf(1000, 2);
  let evictions = 0;
  await budget.claim(async () => {
    evictions += 1;
    budget.measured({ total: 1000, free: 6 * evictions });
    return 1;
  }, 60_000);
  expect(evictions).toBe(2);
  budget.measured({ total: 1000, free: 0 });
  await budget.claim(async () => 0, 60_000);
  expect(budget.hasRoom).toBe(false);
});

test("eviction that frees no inodes ends for ten minutes, and one that does goes on", () => {
  const { budget, clock, told } = budgetOf(1000, 10);
  for (let at = 0; at < 4; at += 1) {
    budget.evicted(8);
    budget.measured({ total: 1000, free: 10 });
  }
  expect([budget.isTight, budget.shortage]).toEqual([false, 0]);
  expect(told.at(-1)).toEqual({ total: 1000, free: 10, isEvictionInVain: true });
  clock.now += TEN_MINUTES;
  expect(budget.isTight).toBe(true);
  for (let at = 1; at <= 4; at += 1) {
    budget.evicted(8);
    budget.measured({ total: 1000, free: 10 + 5 * at });
  }
  expect(budget.isTight).toBe(true);
});

test("a file system without a limit is never short of inodes", async () => {
  const { budget } = budgetOf(0, 0);
  budget.measured(undefined);
  await budget.claim(async () => 0, 1000);
  expect([budget.isTight, budget.hasRoom, budget.current]).toEqual([false, true, undefined]);
});
