import { expect, test } from "bun:test";
import { tempDir } from "../../../test/harness/places.ts";
import { BoundedBlobs } from "../../store/disk/bounded-blob-store.ts";
import { digestNumber } from "../../store/storetest/metadata-conformance.ts";
import { MemoryBlobs } from "../../store/memory/memory-blob-store.ts";
import { openIndex } from "../../store/sql/open-metadata.ts";
import { Space } from "../../store/disk/disk-budget.ts";
import { Evictor } from "./evictor.ts";
import { ManifestTrees } from "./manifest-trees.ts";
import { Pinned } from "./pinned-blobs.ts";

test("where facts take most of the room, what goes is no more than what makes it", async () => {
  await using dir = await tempDir("evictor");
  const index = await openIndex(dir.file("index.db"));
  const count = 4000;
  await Promise.all(
    Array.from({ length: count }, (_, at) =>
      index.contents.put({ digest: digestNumber(at), size: 1 }, at),
    ),
  );
  const maxSize = Math.floor((await index.bytes()) * 0.75);
  const space = new Space({
    bound: { maxSize, minFree: 0 },
    disk: async () => ({ free: 1e12, size: 1e12, beside: await index.bytes() }),
  });
  space.recount(count);
  await space.measure();
  const store = new MemoryBlobs();
  const evictor = new Evictor({
    store: new BoundedBlobs(store, space),
    index,
    space,
    pinned: new Pinned(index, new ManifestTrees(store, index.contents)),
    flushUse: async () => {},
    inUse: () => false,
    removed: () => {},
  });
  await evictor.sweep();
  await space.measure();
  expect(space.used).toBeLessThanOrEqual(maxSize);
  const left = await index.contents.total();
  expect(left.count).toBeGreaterThan(count / 3);
  // The least recently used went.
  expect(await index.contents.get(digestNumber(0))).toBeUndefined();
  expect(await index.contents.get(digestNumber(count - 1))).toBeDefined();
  await index.close();
});
