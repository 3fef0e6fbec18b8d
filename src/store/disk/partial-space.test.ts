import { expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { digestOf } from "../../oci/digest.ts";
import { partialName } from "../partial-name.ts";
import { DiskBudget } from "../space/disk-budget.ts";
import { MemoryBlobStore } from "../memory/memory-blob-store.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";
import { rejection } from "../storetest/writing.ts";
import { BoundedBlobStore } from "./bounded-blob-store.ts";
import { openDiskBlobStore } from "./disk-blob-store.ts";

test("a partial download that somebody deletes gives its space back", async () => {
  await using dir = await tempDir("partial-space");
  const disk = async () => ({ free: 1e12, size: 1e12 });
  const budget = new DiskBudget({ limits: { maxSize: 1e9, minFree: 0 }, disk });
  const store = new BoundedBlobStore(await openDiskBlobStore(dir.path), budget);
  const digests = [1, 2, 3].map((seed) => digestOf(sampleBytes(1000, seed)));
  for (const [seed, digest] of digests.entries()) {
    const writer = await store.writer(digest);
    await writer.append(sampleBytes(1000, seed + 1).subarray(0, 100));
    await writer.suspend();
  }
  expect(budget.partialBytes).toBe(300);
  const [deleted, resumed] = digests;
  if (!deleted || !resumed) throw new Error("there are three");
  await rm(join(dir.path, "fills", partialName(deleted, "")));
  const writer = await store.writer(resumed);
  const listed = await Array.fromAsync(store.partials());
  expect(listed.map(({ digest }) => digest)).toEqual(digests.slice(2));
  expect(budget.partialBytes).toBe(200);
  await writer.suspend();
  await rm(join(dir.path, "fills"), { recursive: true });
  expect(await Array.fromAsync(store.partials())).toEqual([]);
  expect(budget.partialBytes).toBe(0);
});

test("partial downloads that cannot be listed at first count once they can be", async () => {
  const memory = new MemoryBlobStore();
  const digest = digestOf(sampleBytes(1000));
  const earlier = await memory.writer(digest);
  await earlier.append(sampleBytes(1000).subarray(0, 100));
  await earlier.suspend();
  const disk = async () => ({ free: 1e12, size: 1e12 });
  const budget = new DiskBudget({ limits: { maxSize: 1e9, minFree: 0 }, disk });
  const store = new BoundedBlobStore(memory, budget);
  const partials = memory.partials.bind(memory);
  memory.partials = async function* () {
    yield* [];
    throw new Error("the disk fails for a moment");
  };
  expect(await rejection(Array.fromAsync(store.partials()))).toBeInstanceOf(Error);
  memory.partials = partials;
  for (let times = 0; times < 2; times += 1) await Array.fromAsync(store.partials());
  expect(budget.partialBytes).toBe(100);
});
