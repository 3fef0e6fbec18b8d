import { expect, test } from "bun:test";
import { array, assert, constantFrom, integer, property, record, uniqueArray } from "fast-check";
import { digestNumber } from "../../store/storetest/sample-names.ts";
import { mergeStays, type SeenStay } from "./stays.ts";

const NOW = 1000;
const [one, two, three] = [digestNumber(1), digestNumber(2), digestNumber(3)];

const stay = (digest: SeenStay["digest"], firstSeen: number, lastSeen = firstSeen): SeenStay => ({
  digest,
  firstSeen,
  lastSeen,
});

test.each<[string, SeenStay[], SeenStay[], SeenStay[]]>([
  ["one that goes on", [stay(one, 1, 5)], [stay(one, 3, 9)], [stay(one, 1, 9)]],
  ["a move", [stay(one, 1, 5)], [stay(two, 6)], [stay(two, 6), stay(one, 1, 5)]],
  ["one that is told late", [stay(two, 6)], [stay(one, 1, 5)], [stay(two, 6), stay(one, 1, 5)]],
  [
    "a move back",
    [stay(two, 2), stay(one, 1)],
    [stay(one, 3)],
    [stay(one, 3), stay(two, 2), stay(one, 1)],
  ],
  ["what is of the future", [stay(one, 2000, 3000)], [], [stay(one, NOW)]],
  ["nothing", [], [], []],
])("the stays of several replicas are one history: %s", (_, known, told, merged) => {
  expect(mergeStays(known, told, NOW)).toEqual(merged);
});

const sightings = uniqueArray(
  record({ at: integer({ min: 0, max: NOW }), digest: constantFrom(one, two, three) }),
  { selector: ({ at }) => at, minLength: 1, maxLength: 18 },
);

test("however sightings are told, the last digest and when each was first seen are right, and it settles", () => {
  assert(
    property(
      sightings,
      array(integer({ min: 1, max: 4 }), { minLength: 18, maxLength: 18 }),
      (seen, parts) => {
        let known: SeenStay[] = [];
        const waiting = seen.map(({ at, digest }) => stay(digest, at));
        for (const part of parts) known = mergeStays(known, waiting.splice(0, part), NOW);
        const last = seen.toSorted((a, b) => b.at - a.at)[0];
        expect(known[0]?.digest).toBe(last?.digest);
        for (const digest of [one, two, three]) {
          const first = (stays: readonly SeenStay[]): number =>
            Math.min(...stays.flatMap((each) => (each.digest === digest ? [each.firstSeen] : [])));
          expect(first(known)).toBe(first(seen.map(({ at, digest: of }) => stay(of, at))));
        }
        expect(mergeStays(known, known, NOW)).toEqual(known);
      },
    ),
    { numRuns: 500 },
  );
});

test("told as they come, sightings are the runs of equal digests", () => {
  assert(
    property(sightings, (seen) => {
      const inOrder = seen.toSorted((a, b) => a.at - b.at);
      const runs: SeenStay[] = [];
      let known: SeenStay[] = [];
      for (const { at, digest } of inOrder) {
        known = mergeStays(known, [stay(digest, at)], NOW);
        const run = runs[0];
        if (run?.digest === digest) runs[0] = { ...run, lastSeen: at };
        else runs.unshift(stay(digest, at));
      }
      expect(known).toEqual(runs);
    }),
  );
});
