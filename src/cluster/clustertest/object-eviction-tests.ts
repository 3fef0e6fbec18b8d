import { expect } from "bun:test";
import { DELETION_MS, GRACE_MS } from "../objects/object-ledger.ts";
import {
  four,
  MINUTE,
  one,
  three,
  two,
  digestNumber,
  type LedgerInTest,
  type RunTest,
} from "./opened-object-ledger.ts";

/** The part of the conformance suite of `ObjectLedger` that is about eviction. */
export function objectEvictionTests(ledger: () => LedgerInTest, runTest: RunTest): void {
  runTest(
    "the least recently used go first, down to the bound, and those that are pinned stay",
    async () => {
      await ledger().put(one, two, three, four);
      await ledger().objects.keep([four]);
      expect(await ledger().objects.countLeastRecentlyUsed(25)).toEqual({ objects: 2, bytes: 20 });
      expect(await ledger().objects.markLeastRecentlyUsed({ above: 25, limit: 1 })).toEqual({
        objects: 1,
        bytes: 10,
      });
      expect(await ledger().objects.markLeastRecentlyUsed({ above: 25, limit: 10 })).toEqual({
        objects: 1,
        bytes: 10,
      });
      expect(await ledger().states()).toEqual({
        [one]: "here",
        [two]: "going",
        [three]: "going",
        [four]: "here",
      });
      const some = { objects: 2, bytes: 20 };
      expect(await ledger().objects.totals()).toEqual({ here: some, going: some });
      expect(await ledger().objects.staying([one, two, digestNumber(9)])).toEqual(new Set([one]));
      // Those that are pinned are all that is left.
      await ledger().objects.markLeastRecentlyUsed({ above: 0, limit: 10 });
      expect(await ledger().objects.markLeastRecentlyUsed({ above: 0, limit: 10 })).toEqual({
        objects: 0,
        bytes: 0,
      });
      expect(await ledger().states()).toMatchObject({ [four]: "here" });
    },
  );

  runTest("marks that are made at once do not mark twice as much", async () => {
    await ledger().put(one, two, three, four);
    const mark = { above: 30, limit: 10 };
    await Promise.all([
      ledger().objects.markLeastRecentlyUsed(mark),
      ledger().objects.markLeastRecentlyUsed(mark),
    ]);
    expect((await ledger().objects.totals()).going.objects).toBe(1);
  });

  runTest("what goes is deleted after the grace period, by the leader alone", async () => {
    await ledger().put(one);
    await ledger().objects.markLeastRecentlyUsed({ above: 0, limit: 1 });
    const passed = await ledger().opened.lead();
    const fence = await ledger().opened.lead();
    expect(await ledger().objects.takeGoing(fence, 10)).toEqual([]);
    expect(await ledger().objects.overdue()).toBe(0);
    await ledger().opened.later(GRACE_MS + MINUTE);
    expect(await ledger().objects.overdue()).toBeGreaterThanOrEqual(MINUTE);
    expect(await ledger().objects.takeGoing(passed, 10)).toEqual([]);
    expect(await ledger().objects.takeGoing(fence, 10)).toEqual([one]);
    // It is being deleted: nobody else does so.
    expect(await ledger().objects.takeGoing(fence, 10)).toEqual([]);
    expect(await ledger().states()).toEqual({ [one]: "deleting" });
    expect(await ledger().objects.deleted(passed, [one])).toEqual({ objects: 0, bytes: 0 });
    expect(await ledger().objects.deleted(fence, [one, two])).toEqual({ objects: 1, bytes: 10 });
    expect((await ledger().objects.totals()).going).toEqual({ objects: 0, bytes: 0 });
    expect(await ledger().objects.overdue()).toBe(0);
  });

  runTest(
    "where a leader died while it deleted, the next does so once no DELETE can arrive any more",
    async () => {
      const stopped = await ledger().take(one);
      const next = await ledger().opened.lead();
      expect(await ledger().objects.takeGoing(next, 10)).toEqual([]);
      await ledger().opened.later(DELETION_MS + 1000);
      expect(await ledger().objects.takeGoing(next, 10)).toEqual([one]);
      expect(await ledger().objects.deleted(stopped, [one])).toEqual({ objects: 0, bytes: 0 });
      expect(await ledger().objects.deleted(next, [one])).toEqual({ objects: 1, bytes: 10 });
    },
  );

  const rescues: Readonly<Record<string, () => Promise<unknown>>> = {
    used: () => ledger().objects.used(new Map([[one, 0]])),
    "put again": () => ledger().put(one),
    "about to be put": () => ledger().objects.claim([one]),
    pinned: () => ledger().objects.keep([one]),
  };
  for (const [how, rescue] of Object.entries(rescues)) {
    runTest(`what goes stays if it is ${how}`, async () => {
      await ledger().put(one);
      await ledger().objects.markLeastRecentlyUsed({ above: 0, limit: 1 });
      await ledger().opened.later(GRACE_MS);
      await rescue();
      const fence = await ledger().opened.lead();
      expect(await ledger().objects.takeGoing(fence, 10)).toEqual([]);
      expect(await ledger().states()).toEqual({ [one]: "here" });
    });
  }

  runTest("what is being deleted cannot be put, used, pinned or lost", async () => {
    const fence = await ledger().take(one);
    await ledger().put(two);
    expect(await ledger().objects.claim([one, two, three])).toEqual(new Set([one]));
    await ledger().objects.stored([{ digest: one, size: 10, storedAgo: 0 }]);
    await ledger().objects.used(new Map([[one, 0]]));
    await ledger().objects.keep([one]);
    await ledger().objects.lost(new Map([[one, 0]]));
    expect(await ledger().states()).toEqual({ [one]: "deleting", [two]: "here" });
    expect(await ledger().objects.deleted(fence, [one])).toEqual({ objects: 1, bytes: 10 });
    // From now on, it can.
    expect(await ledger().objects.claim([one])).toEqual(new Set());
    await ledger().put(one);
    expect(await ledger().states()).toEqual({ [one]: "here", [two]: "here" });
  });

  runTest("what the store refuses to delete is kept like what is pinned", async () => {
    const fence = await ledger().take(one);
    await ledger().objects.refused(fence, [one]);
    expect(await ledger().objects.page(1)).toMatchObject([{ state: "here", isKept: true }]);
    expect(await ledger().objects.deleted(fence, [one])).toMatchObject({ objects: 0 });
  });

  runTest("claims and deletions of the same objects never overlap", async () => {
    const many = Array.from({ length: 40 }, (_, number) => digestNumber(number));
    await ledger().put(...many);
    await ledger().objects.markLeastRecentlyUsed({ above: 0, limit: 40 });
    await ledger().opened.later(GRACE_MS);
    const fence = await ledger().opened.lead();
    const [taken, ...refused] = await Promise.all([
      ledger().objects.takeGoing(fence, 40),
      ...many.map((digest) => ledger().objects.claim([digest])),
    ]);
    const claimed = many.filter((digest, at) => !refused[at]?.has(digest));
    expect([...taken, ...claimed].toSorted()).toEqual(many.toSorted());
  });

  runTest("a corrupt object is taken at once, with a fence of its own", async () => {
    await ledger().put(one, two);
    const leader = await ledger().opened.lead();
    const { fence, taken } = await ledger().objects.takeCorrupt([one, three]);
    expect(taken).toEqual([one]);
    expect(await ledger().objects.claim([one])).toEqual(new Set([one]));
    expect((await ledger().objects.takeCorrupt([one])).taken).toEqual([]);
    // It can be repaired where its taker has died.
    await ledger().opened.later(DELETION_MS + 1000);
    expect(await ledger().objects.takeGoing(leader, 10)).toEqual([one]);
    expect(await ledger().objects.deleted(fence, [one])).toEqual({ objects: 0, bytes: 0 });
    expect(await ledger().objects.deleted(leader, [one])).toEqual({ objects: 1, bytes: 10 });
  });
}
