import { afterEach, expect, setSystemTime, test } from "bun:test";
import { mkdir, rm } from "node:fs/promises";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import type { Fault } from "../../oci/fault.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import type { MetadataStore } from "../../store/metadata-store.ts";
import { blobFile } from "../../store/disk/blob-file.ts";
import { openDiskBlobStore } from "../../store/disk/disk-blob-store.ts";
import { BoundedBlobStore } from "../../store/disk/bounded-blob-store.ts";
import { sampleBytes } from "../../store/storetest/sample-bytes.ts";
import { rejection, storeBytes } from "../../store/storetest/writing.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { openFrozenMetadata, openMetadata } from "../../store/sql/open-metadata.ts";
import { DiskBudget } from "../../store/space/disk-budget.ts";
import { Evictor } from "./evictor.ts";
import { ManifestTrees } from "./manifest-trees.ts";
import { PinnedBlobs } from "./pinned-blobs.ts";

const BLOCK = 4096;

afterEach(() => void setSystemTime());

interface Parts {
  readonly blobs: BlobStore;
  readonly metadata: MetadataStore;
  readonly budget: DiskBudget;
}

function evictorOf(
  { blobs, metadata, budget }: Parts,
  options: Partial<ConstructorParameters<typeof Evictor>[0]> = {},
): Evictor {
  return new Evictor({
    store: new BoundedBlobStore(blobs, budget),
    metadata,
    budget,
    pinned: new PinnedBlobs(metadata, new ManifestTrees(blobs, metadata.blobs), {
      spaceOf: (size) => size,
    }),
    flushAccessTimes: async () => {},
    inUse: () => false,
    deleteRemains: async () => {},
    onRemoved: () => {},
    onFailed: () => {},
    onRecordsLeft: () => {},
    ...options,
  });
}

test("tiny blobs count as whole blocks, and metadata that is larger than maxSize leaves half of it to them", async () => {
  await using dir = await tempDir("evictor");
  const metadata = await openMetadata(dir.file("metadata.db"));
  const [count, maxBlobs] = [2000, 1000];
  const maxSize = maxBlobs * BLOCK;
  const budget = new DiskBudget({
    limits: { maxSize, minFree: 0 },
    blockSize: BLOCK,
    disk: async () => ({ free: 1e12, size: 1e12, metadata: await metadata.bytes() }),
  });
  const blobs = new MemoryBlobStore();
  const digests = await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const digest = await storeBytes(blobs, sampleBytes(11, at));
      await metadata.blobs.put({ digest, size: 11 }, at);
      return digest;
    }),
  );
  budget.recount((await metadata.blobs.total(BLOCK)).diskBytes);
  expect(budget.blobBytes).toBe(count * BLOCK);
  await budget.measure();
  expect(budget.metadataBytes).toBeGreaterThan(maxSize);
  expect(budget.hasTooMuchMetadata).toBe(true);

  const evictor = evictorOf({ blobs, metadata, budget });
  const evicted = await evictor.sweep();
  expect(budget.used).toBeLessThanOrEqual(maxSize);
  const remaining = (await metadata.blobs.total(BLOCK)).count;
  expect(remaining).toBeGreaterThan(0.4 * maxBlobs);
  expect(remaining).toBeLessThanOrEqual(0.5 * maxBlobs);
  expect([evicted.blobs, evicted.bytes]).toEqual([count - remaining, (count - remaining) * BLOCK]);
  // The least recently used blobs were evicted.
  const stored = await Promise.all(digests.map((digest) => metadata.blobs.get(digest)));
  expect(stored.findIndex((blob) => blob !== undefined)).toBe(count - remaining);
  await metadata.close();
});

test("a file that cannot be removed does not keep others from being evicted", async () => {
  await using dir = await tempDir("evictor");
  const metadata = await openMetadata(":memory:");
  const budget = new DiskBudget({
    limits: { maxSize: 10_000, minFree: 0 },
    blockSize: 1,
    disk: async () => ({ free: 1e12, size: 1e12, metadata: 0 }),
  });
  const blobs = await openDiskBlobStore(dir.path);
  const digests: Digest[] = [];
  for (let at = 0; at < 20; at += 1) {
    const digest = await storeBytes(blobs, sampleBytes(1000, at));
    await metadata.blobs.put({ digest, size: 1000 }, at);
    digests.push(digest);
  }
  // A folder cannot be unlinked, whoever tries it.
  const path = dir.file(blobFile(digestOf(sampleBytes(1000, 0))));
  await rm(path);
  await mkdir(path);
  const faults: Fault[] = [];
  const evictor = evictorOf(
    { blobs, metadata, budget },
    { onFailed: (fault) => faults.push(fault) },
  );
  budget.recount(20_000);
  await evictor.sweep();
  expect(budget.used).toBeLessThanOrEqual(10_000);
  const stored = await Promise.all(digests.map((digest) => metadata.blobs.get(digest)));
  // It keeps its record, since it still takes space.
  expect(stored.map((record) => record !== undefined).indexOf(false)).toBe(1);
  expect(faults.map(({ detail }) => detail.kind)).toEqual(["storage"]);
  // It is passed over for a while.
  budget.recount(20_000);
  await evictor.sweep();
  expect(faults).toHaveLength(1);
  await metadata.close();
});

test("records that cannot be removed are told of, so that a repair removes them", async () => {
  await using dir = await tempDir("evictor");
  const path = dir.file("metadata.db");
  const blobs = new MemoryBlobStore();
  const budget = new DiskBudget({
    limits: { maxSize: 1000, minFree: 0 },
    disk: async () => ({ free: 1e12, size: 1e12, metadata: 0 }),
  });
  {
    const metadata = await openMetadata(path);
    const digest = await storeBytes(blobs, sampleBytes(2000));
    await metadata.blobs.put({ digest, size: 2000 }, 1);
    await metadata.close();
  }
  budget.recount(2000);
  // It refuses each write.
  const metadata = await openFrozenMetadata(path);
  let left = 0;
  const evictor = evictorOf({ blobs, metadata, budget }, { onRecordsLeft: () => (left += 1) });
  expect(await rejection(evictor.sweep())).toBeDefined();
  expect([left, budget.blobBytes]).toEqual([1, 0]);
  await metadata.close();
});

test("a record that is put again between its listing and its eviction goes with its file", async () => {
  const metadata = await openMetadata(":memory:");
  const blobs = new MemoryBlobStore();
  const budget = new DiskBudget({
    limits: { maxSize: 1000, minFree: 0 },
    disk: async () => ({ free: 1e12, size: 1e12, metadata: 0 }),
  });
  const digest = await storeBytes(blobs, sampleBytes(2000));
  await metadata.blobs.put({ digest, size: 2000 }, 1);
  budget.recount(2000);
  /** Is read between the two. */
  class RefreshingPins extends PinnedBlobs {
    override async current(): ReturnType<PinnedBlobs["current"]> {
      await metadata.blobs.put({ digest, size: 2000 }, Date.now());
      return super.current();
    }
  }
  const evictor = evictorOf(
    { blobs, metadata, budget },
    {
      pinned: new RefreshingPins(metadata, new ManifestTrees(blobs, metadata.blobs), {
        spaceOf: (size) => size,
      }),
    },
  );
  expect((await evictor.sweep()).blobs).toBe(1);
  expect(await metadata.blobs.get(digest)).toBeUndefined();
  await metadata.close();
});

test("a record that is put again while the file before it is being removed goes with its file", async () => {
  const metadata = await openMetadata(":memory:");
  const [first, second] = [sampleBytes(1000, 1), sampleBytes(1000, 2)].map((bytes) =>
    digestOf(bytes),
  );
  /** Takes its time for the first one, while the record of the second one is put again. */
  class SlowStore extends MemoryBlobStore {
    override async remove(digest: Digest): Promise<boolean> {
      if (digest === first && second) {
        setSystemTime(Date.now() + 2000);
        await metadata.blobs.put({ digest: second, size: 1000 }, Date.now());
      }
      return super.remove(digest);
    }
  }
  const blobs = new SlowStore();
  const budget = new DiskBudget({
    limits: { maxSize: 500, minFree: 0 },
    disk: async () => ({ free: 1e12, size: 1e12, metadata: 0 }),
  });
  for (const seed of [1, 2]) {
    const digest = await storeBytes(blobs, sampleBytes(1000, seed));
    await metadata.blobs.put({ digest, size: 1000 }, seed);
  }
  budget.recount(2000);
  const evictor = evictorOf({ blobs, metadata, budget });
  expect((await evictor.sweep()).blobs).toBe(2);
  expect((await metadata.blobs.total(1)).count).toBe(0);
  await metadata.close();
});
