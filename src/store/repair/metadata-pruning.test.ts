import { expect, test } from "bun:test";
import { digestNumber, repositoryRef, tag } from "../storetest/sample-names.ts";
import { pruneMetadata, type PruneOptions } from "./metadata-pruning.ts";
import { openMetadata } from "../sql/open-metadata.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const [held, gone, coming] = [digestNumber(1), digestNumber(2), digestNumber(3)];
const [old, young] = [tag("old"), tag("young")];

async function filled(): Promise<PruneOptions> {
  const metadata = await openMetadata(":memory:");
  await metadata.blobs.put({ digest: held, size: 1 }, 1);
  await metadata.links.add(nginx, [{ digest: held }, { digest: gone }, { digest: coming }]);
  await metadata.tags.put(nginx, old, { digest: gone, checkedAt: 10 });
  await metadata.tags.put(nginx, young, { digest: gone, checkedAt: 20 });
  await metadata.tags.put(nginx, tag("held"), { digest: held, checkedAt: 10 });
  await metadata.listings.put(nginx, "tags", { body: "[]", checkedAt: 10 });
  return { metadata, inUse: (digest) => digest === coming, before: 15, isComplete: () => true };
}

test("what is said of content that is gone goes, after its time; what is held or comes stays", async () => {
  const pruning = await filled();
  const { metadata } = pruning;
  expect(await pruneMetadata(pruning)).toBe(3);
  expect(new Set(await metadata.links.digests(9))).toEqual(new Set([held, coming]));
  expect(await metadata.tags.list(nginx)).toEqual([tag("held"), young]);
  expect(await metadata.listings.get(nginx, "tags")).toBeUndefined();
  expect(await pruneMetadata(pruning)).toBe(0);
});

test("an index that does not know everything yet forgets nothing", async () => {
  const pruning = await filled();
  const { metadata } = pruning;
  expect(await pruneMetadata({ ...pruning, isComplete: () => false })).toBe(0);
  expect(await metadata.links.digests(9)).toHaveLength(3);
  expect(await metadata.tags.list(nginx)).toHaveLength(3);
  expect(await metadata.listings.get(nginx, "tags")).toBeDefined();
});

test("forgets what may be seen, and lists of before a moment", async () => {
  const metadata = await openMetadata(":memory:");
  const [first, second, third] = [held, gone, coming].toSorted();
  if (!first || !second || !third) throw new Error("three digests are three");
  await metadata.links.add(nginx, [{ digest: first }, { digest: second }]);
  await metadata.links.add(repositoryRef("ghcr.io", "a"), [{ digest: second }, { digest: third }]);
  expect(await metadata.links.get(nginx, second)).toBeDefined();
  expect(await metadata.links.digests(2)).toEqual([first, second]);
  expect(await metadata.links.digests(2, second)).toEqual([third]);
  await metadata.blobs.put({ digest: third, size: 1 }, 1);
  // What is stored stays, however lately it came.
  expect(await metadata.links.removeUnstored([second, third])).toBe(2);
  expect(await metadata.links.removeUnstored([])).toBe(0);
  expect(await metadata.links.get(nginx, second)).toBeUndefined();
  expect(await metadata.links.digests(9)).toEqual([first, third]);
  for (const [key, checkedAt] of [
    ["a", 1],
    ["b", 2],
    ["c", 3],
  ] as const) {
    await metadata.listings.put(nginx, key, { body: key, checkedAt });
  }
  expect(await metadata.listings.removeBefore(3, 1)).toBe(1);
  expect(await metadata.listings.removeBefore(3, 9)).toBe(1);
  expect(await metadata.listings.removeBefore(3, 9)).toBe(0);
  expect(await metadata.listings.get(nginx, "c")).toEqual({ body: "c", checkedAt: 3 });
});
