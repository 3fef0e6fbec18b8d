import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { TurnLimiter } from "./turn-limiter.ts";

test("a few pieces of work begin in each turn of the event loop, in order of arrival", async () => {
  const turns = new TurnLimiter(2);
  const begun: string[] = [];
  const begin = async (work: string): Promise<void> => {
    await turns.begin();
    begun.push(work);
  };
  const all = Promise.all(["a", "b", "c", "d", "e"].map(begin));
  const perTurn = [];
  while (begun.length < 5) {
    await setImmediate();
    perTurn.push(begun.join(""));
  }
  await all;
  expect(perTurn).toEqual(["abcd", "abcde"]);
});

test("work begins at once where less began in this turn", async () => {
  const turns = new TurnLimiter(2);
  for (let turn = 0; turn < 3; turn += 1) {
    let begun = 0;
    for (const _ of [1, 2]) void turns.begin().then(() => (begun += 1));
    await Promise.resolve();
    expect(begun).toBe(2);
    await setImmediate();
  }
});
