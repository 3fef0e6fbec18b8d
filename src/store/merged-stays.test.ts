import { expect, test } from "bun:test";
import { array, assert, constantFrom, integer, property, record } from "fast-check";
import { joinedStays, withStay } from "./merged-stays.ts";
import { digestNumber } from "./storetest/sample-names.ts";
import type { TagStay } from "./tag-history.ts";

const stay = record({
  digest: constantFrom(digestNumber(1), digestNumber(2), digestNumber(3)),
  firstSeen: integer({ min: 0, max: 20 }),
  length: integer({ min: 0, max: 8 }),
}).map(({ digest, firstSeen, length }): TagStay => {
  return { digest, firstSeen, lastSeen: firstSeen + length };
});

test("stays that are added in any order are those that were seen, once, the latest first", () => {
  assert(
    property(array(stay, { minLength: 1, maxLength: 12 }), (seen) => {
      const merged = seen.reduce<TagStay[]>(withStay, []);
      for (const again of seen) expect(withStay(merged, again)).toEqual(merged);
      const joined = joinedStays(merged);
      expect(joined[0]?.lastSeen).toBe(Math.max(...seen.map(({ lastSeen }) => lastSeen)));
      for (const { digest } of seen) {
        const times = (all: readonly TagStay[]) => {
          const same = all.filter((one) => one.digest === digest);
          const first = Math.min(...same.map(({ firstSeen }) => firstSeen));
          return [first, Math.max(...same.map(({ lastSeen }) => lastSeen))];
        };
        expect(times(joined)).toEqual(times(seen));
      }
      for (const [at, { digest }] of joined.entries()) {
        expect(digest).not.toBe(joined[at + 1]?.digest);
      }
    }),
    { numRuns: 2000 },
  );
});
