import { expect, test } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import { digestNumber, repositoryRef, tag } from "../storetest/sample-names.ts";
import { pruneMetadata, type PruneOptions } from "./metadata-pruning.ts";
import { openMetadata } from "../sql/open-metadata.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const [stored, missing, inUse] = [digestNumber(1), digestNumber(2), digestNumber(3)];
const [old, young] = [tag("old"), tag("young")];

async function filled(): Promise<PruneOptions> {
  const metadata = await openMetadata(":memory:");
  await metadata.blobs.put({ digest: stored, size: 1 }, 1);
  await metadata.links.add(nginx, [{ digest: stored }, { digest: missing }, { digest: inUse }], 10);
  await metadata.tags.put(nginx, old, { digest: missing, checkedAt: 10 });
  await metadata.tags.put(nginx, young, { digest: missing, checkedAt: 20 });
  await metadata.tags.put(nginx, tag("stored"), { digest: stored, checkedAt: 10 });
  await metadata.listings.put(nginx, "tags", { body: "[]", checkedAt: 10 });
  const isInUse = (digest: Digest): boolean => digest === inUse;
  const times = { before: 15, linkRetention: 5, now: () => 20 };
  return { metadata, inUse: isInUse, ...times, isComplete: () => true };
}

test("metadata of unstored blobs is removed once it is old, and that of stored blobs or blobs in use is kept", async () => {
  const options = await filled();
  const { metadata } = options;
  expect(await pruneMetadata(options)).toBe(3);
  expect(new Set(await metadata.links.digests(9))).toEqual(new Set([stored, inUse]));
  expect(await metadata.tags.list(nginx)).toEqual([tag("stored"), young]);
  expect(await metadata.listings.get(nginx, "tags")).toBeUndefined();
  expect(await pruneMetadata(options)).toBe(0);
});

test("the links of an image that is being pulled are kept, until they have not been added again for long", async () => {
  const options = await filled();
  const { links } = options.metadata;
  await links.add(nginx, [{ digest: missing }], 15);
  expect(await pruneMetadata(options)).toBe(2);
  expect(await links.get(nginx, missing)).toBeDefined();
  expect(await pruneMetadata({ ...options, now: () => 21 })).toBe(1);
  expect(await links.get(nginx, missing)).toBeUndefined();
  // A clock that was set back does not keep them for ever.
  await links.add(nginx, [{ digest: missing }], 1_000_000);
  expect(await pruneMetadata(options)).toBe(1);
});

test("nothing is removed while the metadata is incomplete", async () => {
  const options = await filled();
  const { metadata } = options;
  expect(await pruneMetadata({ ...options, isComplete: () => false })).toBe(0);
  expect(await metadata.links.digests(9)).toHaveLength(3);
  expect(await metadata.tags.list(nginx)).toHaveLength(3);
  expect(await metadata.listings.get(nginx, "tags")).toBeDefined();
});

test("`removeUnstored` and `removeBefore` remove links of unstored blobs, and old listings", async () => {
  const [now, never] = [
    { from: Date.now() - 60_000, until: Date.now() + 60_000 },
    { from: 1, until: 0 },
  ];
  const metadata = await openMetadata(":memory:");
  const [first, second, third] = [stored, missing, inUse].toSorted();
  if (!first || !second || !third) throw new Error("there are three digests");
  await metadata.links.add(nginx, [{ digest: first }, { digest: second }]);
  await metadata.links.add(repositoryRef("ghcr.io", "a"), [{ digest: second }, { digest: third }]);
  expect(await metadata.links.get(nginx, second)).toBeDefined();
  expect(await metadata.links.digests(2)).toEqual([first, second]);
  expect(await metadata.links.digests(2, second)).toEqual([third]);
  await metadata.blobs.put({ digest: third, size: 1 }, 1);
  // A blob that is stored keeps its links, even if it was stored a moment ago.
  expect(await metadata.links.removeUnstored([second, third], now)).toBe(0);
  expect(await metadata.links.removeUnstored([second, third], never)).toBe(2);
  expect(await metadata.links.removeUnstored([], never)).toBe(0);
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
