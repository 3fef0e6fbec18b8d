import { expect, test } from "bun:test";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { BoundedBlobStore } from "../../store/disk/bounded-blob-store.ts";
import { digestNumber } from "../../store/storetest/sample-names.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { DiskBudget } from "../../store/disk/disk-budget.ts";
import { Evictor } from "./evictor.ts";
import { ManifestTrees } from "./manifest-trees.ts";
import { PinnedBlobs } from "./pinned-blobs.ts";

test("eviction removes no more than needed if metadata takes most of the space", async () => {
  await using dir = await tempDir("evictor");
  const metadata = await openMetadata(dir.file("metadata.db"));
  const count = 4000;
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      metadata.blobs.put({ digest: digestNumber(index), size: 1 }, index),
    ),
  );
  const maxSize = Math.floor((await metadata.bytes()) * 0.75);
  const budget = new DiskBudget({
    limits: { maxSize, minFree: 0 },
    disk: async () => ({ free: 1e12, size: 1e12, metadata: await metadata.bytes() }),
  });
  budget.recount(count);
  await budget.measure();
  const store = new MemoryBlobStore();
  const evictor = new Evictor({
    store: new BoundedBlobStore(store, budget),
    metadata,
    budget,
    pinned: new PinnedBlobs(metadata, new ManifestTrees(store, metadata.blobs)),
    flushAccessTimes: async () => {},
    inUse: () => false,
    onRemoved: () => {},
  });
  await evictor.sweep();
  await budget.measure();
  expect(budget.used).toBeLessThanOrEqual(maxSize);
  const remaining = await metadata.blobs.total();
  expect(remaining.count).toBeGreaterThan(count / 3);
  // The least recently used blobs were evicted.
  expect(await metadata.blobs.get(digestNumber(0))).toBeUndefined();
  expect(await metadata.blobs.get(digestNumber(count - 1))).toBeDefined();
  await metadata.close();
});
