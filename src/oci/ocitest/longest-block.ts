/**
 * Runs `work` three times. Returns how long it blocked the event loop at most, in milliseconds: in the
 * best run, since what other processes and the garbage collector add is different each time.
 */
export async function longestBlock(work: () => Promise<unknown>): Promise<number> {
  let best = Infinity;
  for (let run = 0; run < 3; run += 1) best = Math.min(best, await longestBlockOnce(work));
  return best;
}

async function longestBlockOnce(work: () => Promise<unknown>): Promise<number> {
  let [longest, last, isOver] = [0, performance.now(), false];
  const watch = (): void => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
    if (!isOver) setImmediate(watch);
  };
  setImmediate(watch);
  await work();
  isOver = true;
  return Math.max(longest, performance.now() - last);
}
