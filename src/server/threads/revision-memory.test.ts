import { expect, test } from "bun:test";
import { digestOf } from "../../oci/digest.ts";
import { SharedRemovalLog, RevisionMemory } from "./revision-memory.ts";

const digests = Array.from({ length: 200 }, (_, index) =>
  digestOf(new TextEncoder().encode(`blob ${index}`)),
);

test("another thread sees a revision, a removal and scarcity as soon as they are written", () => {
  const [digest = digests[0], other = digests[1]] = digests;
  if (!digest || !other) throw new Error("there are no digests");
  const main = new RevisionMemory();
  const worker = new RevisionMemory(main.memory);
  expect([worker.revision, worker.now, worker.isScarce]).toEqual([0, 0, false]);
  const removals = new SharedRemovalLog(main);
  const before = removals.now;
  main.revision = 7;
  main.isScarce = true;
  removals.add(digest);
  expect([worker.revision, worker.now, worker.isScarce]).toEqual([7, 1, true]);
  expect([worker.since(before, digest), worker.since(removals.now, digest)]).toEqual([true, false]);
  expect(worker.since(before, other)).toBe(false);
});

test("what the log calls removed, another thread never calls unchanged", () => {
  const main = new RevisionMemory();
  const removals = new SharedRemovalLog(main);
  const worker = new RevisionMemory(main.memory);
  for (const [turn, digest] of digests.entries()) {
    removals.add(digest);
    for (const each of digests.slice(0, turn + 1)) {
      for (const time of [0, turn, removals.now]) {
        if (removals.since(time, each)) expect(worker.since(time, each)).toBe(true);
      }
    }
  }
});
