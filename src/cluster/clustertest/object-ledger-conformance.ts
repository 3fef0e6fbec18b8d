import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import { KEPT_MS, USE_STEP_MS } from "../objects/object-ledger.ts";
import { objectEvictionTests } from "./object-eviction-tests.ts";
import {
  four,
  HOUR,
  LedgerInTest,
  MINUTE,
  one,
  three,
  two,
  type OpenedObjectLedger,
  type RunTest,
} from "./opened-object-ledger.ts";

/**
 * The conformance suite of `ObjectLedger`, which every adapter has to pass.
 *
 * @param adapter its name, for the titles of the tests
 * @param open opens one for all tests, which empty it
 * @param runTest defines a test; by default, always
 */
export function objectLedgerConformance(
  adapter: string,
  open: () => Promise<OpenedObjectLedger>,
  runTest: RunTest = test,
): void {
  describe(`${adapter} as an ObjectLedger`, () => {
    let opening: Promise<OpenedObjectLedger> | undefined;
    let inTest: LedgerInTest;
    const ledger = (): LedgerInTest => inTest;

    beforeEach(async () => {
      opening ??= open();
      inTest = new LedgerInTest(await opening);
      await inTest.opened.clear();
    });
    afterAll(async () => (await opening)?.close());

    objectEvictionTests(ledger, runTest);

    runTest("an object is listed as it was put, and counted", async () => {
      await ledger().put(one, two);
      await ledger().put(one);
      const page = await ledger().objects.page(10);
      const sorted = [one, two].toSorted();
      expect(page.map(({ digest, size, state, isKept }) => [digest, size, state, isKept])).toEqual(
        sorted.map((digest) => [digest, 10, "here", false]),
      );
      expect(await ledger().objects.page(10, sorted[0])).toMatchObject([{ digest: sorted[1] }]);
      expect(await ledger().objects.known([one, three])).toEqual(new Set([one]));
      const here = { objects: 2, bytes: 20 };
      expect(await ledger().objects.totals()).toEqual({ here, going: { objects: 0, bytes: 0 } });
    });

    runTest("one that is told twice at once counts once, with its latest moment", async () => {
      await ledger().objects.stored([
        { digest: one, size: 10, storedAgo: HOUR },
        { digest: one, size: 10, storedAgo: 0 },
      ]);
      expect((await ledger().objects.totals()).here).toEqual({ objects: 1, bytes: 10 });
      expect(await ledger().usedAgo(one)).toBeLessThan(MINUTE);
    });

    runTest("a use counts once it is ten minutes later, and never backwards", async () => {
      await ledger().put(one);
      await ledger().opened.later(HOUR);
      await ledger().objects.used(
        new Map([
          [one, 30 * MINUTE],
          [two, 0],
        ]),
      );
      expect(Math.round((await ledger().usedAgo(one)) / MINUTE)).toBe(30);
      await ledger().objects.used(new Map([[one, 30 * MINUTE - USE_STEP_MS + 1000]]));
      expect(Math.round((await ledger().usedAgo(one)) / MINUTE)).toBe(30);
      await ledger().objects.used(new Map([[one, 45 * MINUTE]]));
      expect(Math.round((await ledger().usedAgo(one)) / MINUTE)).toBe(30);
      await ledger().objects.used(new Map([[one, 0]]));
      expect(Math.round((await ledger().usedAgo(one)) / MINUTE)).toBe(0);
    });

    runTest("an object that the store lacks is forgotten, unless it was put since", async () => {
      await ledger().objects.stored([{ digest: one, size: 10, storedAgo: MINUTE }]);
      await ledger().objects.lost(new Map([[one, 2 * MINUTE]]));
      expect((await ledger().objects.totals()).here.objects).toBe(1);
      await ledger().objects.lost(new Map([[one, 1000]]));
      expect((await ledger().objects.totals()).here.objects).toBe(0);
    });

    runTest("what the store lacks is wanted, but not what would be evicted at once", async () => {
      await ledger().put(one);
      const own = new Map([
        [one, 0],
        [two, 5 * HOUR],
        [three, 0],
      ]);
      expect(await ledger().objects.wanted(own)).toEqual(new Set([two, three]));
      await ledger().put(four);
      await ledger().opened.later(HOUR);
      await ledger().objects.markLeastRecentlyUsed({ above: 0, limit: 9 });
      expect(await ledger().objects.wanted(own)).toEqual(new Set([three]));
      await ledger().objects.forgetHorizon();
      expect(await ledger().objects.wanted(own)).toEqual(new Set([two, three]));
    });

    runTest(
      "a pin holds for a week after it was last told, and until it is taken back",
      async () => {
        await ledger().put(one, two);
        await ledger().objects.keep([one, two, three]);
        await ledger().objects.release([two]);
        await ledger().objects.tidy();
        expect((await ledger().objects.page(9)).filter(({ isKept }) => isKept)).toMatchObject([
          { digest: one },
        ]);
        await ledger().opened.later(KEPT_MS + MINUTE);
        await ledger().objects.tidy();
        expect((await ledger().objects.page(9)).filter(({ isKept }) => isKept)).toEqual([]);
      },
    );

    runTest(
      "an object that was used in the future, by a clock that was set back, was used now",
      async () => {
        await ledger().opened.later(-2 * HOUR);
        await ledger().put(one);
        await ledger().opened.later(-2 * HOUR);
        await ledger().objects.tidy();
        expect(await ledger().usedAgo(one)).toBeGreaterThanOrEqual(0);
        expect(await ledger().usedAgo(one)).toBeLessThan(MINUTE);
      },
    );

    runTest("what a list shows is adopted with its age, unless it is known", async () => {
      await ledger().put(one);
      const listed = { size: 30, storedAgo: 48 * HOUR };
      const adopted = await ledger().objects.adopt([
        { digest: one, ...listed },
        { digest: two, ...listed },
        { digest: two, ...listed },
      ]);
      expect(adopted).toBe(1);
      expect((await ledger().objects.totals()).here).toEqual({ objects: 2, bytes: 40 });
      expect(Math.round((await ledger().usedAgo(two)) / HOUR)).toBe(48);
    });

    runTest(
      "objects that a list lacks are found in its range, except those that were just put",
      async () => {
        const sorted = [one, two, three, four].toSorted();
        const [first, second, third, last] = sorted as [Digest, Digest, Digest, Digest];
        const storedAgo = 2 * HOUR;
        await ledger().objects.stored(
          [first, second, third].map((digest) => ({ digest, size: 1, storedAgo })),
        );
        await ledger().objects.stored([{ digest: last, size: 1, storedAgo: MINUTE }]);
        expect(await ledger().objects.unlisted(undefined, undefined, [])).toEqual([
          first,
          second,
          third,
        ]);
        expect(await ledger().objects.unlisted(first, third, [second])).toEqual([third]);
        expect(await ledger().objects.unlisted(undefined, second, [first, second])).toEqual([]);
      },
    );

    runTest("a long task goes on where it was, and is known to be done", async () => {
      expect(await ledger().objects.progress("list")).toEqual({
        doneAgo: undefined,
        position: undefined,
      });
      await ledger().objects.advance("list", "here");
      expect(await ledger().objects.progress("list")).toEqual({
        doneAgo: undefined,
        position: "here",
      });
      await ledger().objects.advance("list");
      await ledger().opened.later(HOUR);
      const { doneAgo = NaN, position } = await ledger().objects.progress("list");
      expect(Math.round(doneAgo / HOUR)).toBe(1);
      expect(position).toBeUndefined();
      await ledger().objects.advance("list", "there");
      expect((await ledger().objects.progress("list")).doneAgo).toBeGreaterThanOrEqual(HOUR);
    });

    runTest("the totals are right after they were counted again", async () => {
      await ledger().put(one, two);
      await ledger().objects.markLeastRecentlyUsed({ above: 10, limit: 1 });
      const before = await ledger().objects.totals();
      await ledger().objects.recount();
      expect(await ledger().objects.totals()).toEqual(before);
    });
  });
}
