import { expect, test } from "bun:test";
import type { HistorySettings } from "../../config/settings.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import { FormerImages } from "./former-images.ts";

const app = repositoryRef("reg.test", "app");
const SETTINGS: HistorySettings = { digests: 2, seenWithin: 0, share: 0.5 };

/** What goes last of some tags, each of which had images at moments: by their numbers. */
async function lastOf(
  moves: readonly (readonly [tag: string, image: number, at: number])[],
  settings: Partial<HistorySettings> = {},
): Promise<number[]> {
  const { tags, tagHistory, ...metadata } = await openMetadata(":memory:");
  const numbers = new Map(moves.map(([, image]) => [digestNumber(image), image]));
  for (const [name, image, checkedAt] of moves) {
    await tags.put(app, tag(name), { digest: digestNumber(image), checkedAt });
  }
  const former = new FormerImages({
    history: tagHistory,
    settings: { ...SETTINGS, ...settings },
    maxSize: () => 100,
    now: () => 100,
  });
  const { digests } = await former.current();
  await metadata.close();
  return digests.map((digest) => numbers.get(digest) ?? NaN);
}

test("what a tag that has moved points to goes last, with what it did before", async () => {
  expect(await lastOf([["a", 1, 1]])).toEqual([]);
  expect(
    await lastOf([
      ["a", 1, 1],
      ["a", 2, 5],
      ["same", 9, 6],
    ]),
  ).toEqual([2, 1]);
});

test("of a tag, so many digests go last as are configured, each of which counts once", async () => {
  const moves = [1, 2, 3, 2].map((image, at) => ["a", image, at] as const);
  expect(await lastOf(moves, { digests: 1 })).toEqual([2]);
  expect(await lastOf(moves, { digests: 2 })).toEqual([2, 3]);
  expect(await lastOf(moves, { digests: 3 })).toEqual([2, 3, 1]);
  expect(await lastOf(moves, { digests: 0 })).toEqual([]);
});

test("what was seen lately goes last, however much that is", async () => {
  const moves = [10, 50, 80, 90, 95].map((at, image) => ["a", image, at] as const);
  expect(await lastOf(moves, { digests: 1, seenWithin: 30 })).toEqual([4, 3, 2]);
  expect(await lastOf(moves, { digests: 1, seenWithin: 20 })).toEqual([4, 3]);
  expect(await lastOf(moves, { digests: 0, seenWithin: 60 })).toEqual([4, 3, 2, 1]);
});

test("what was seen last comes first, of all tags together", async () => {
  expect(
    await lastOf([
      ["a", 1, 1],
      ["b", 3, 2],
      ["b", 4, 3],
      ["a", 2, 4],
      ["b", 3, 5],
    ]),
  ).toEqual([3, 2, 4, 1]);
});

test("the list is used again for a minute, and read anew after an error", async () => {
  const metadata = await openMetadata(":memory:");
  let [reads, uptime, isFailing] = [0, 0, true];
  const former = new FormerImages({
    history: {
      moved: async (...parameters) => {
        reads += 1;
        if (isFailing) throw new Error("the disk fails");
        return metadata.tagHistory.moved(...parameters);
      },
    },
    settings: SETTINGS,
    maxSize: () => 100,
    uptime: () => uptime,
  });
  expect(await former.current().catch(() => "failed")).toBe("failed");
  isFailing = false;
  expect(await Promise.all([former.current(), former.current()])).toEqual([
    { digests: [], limit: 50 },
    { digests: [], limit: 50 },
  ]);
  uptime = 59_999;
  await former.current();
  expect(reads).toBe(2);
  uptime = 60_000;
  await former.current();
  expect(reads).toBe(3);
  await metadata.close();
});

test("nothing is read where the share is 0, and at most 2,000 images go last", async () => {
  const moves = Array.from(
    { length: 5000 },
    (_, image) => [`t${image >> 1}`, image, image] as const,
  );
  const last = await lastOf(moves, { digests: 20 });
  expect(last).toEqual(Array.from({ length: 2000 }, (_, at) => 4999 - at));
  expect(await lastOf(moves.slice(0, 2), { share: 0 })).toEqual([]);
}, 60_000);
