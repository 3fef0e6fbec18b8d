import { expect, test } from "bun:test";
import { digestOf } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { MemoryBlobStore } from "../memory/memory-blob-store.ts";
import { DiskBudget } from "../space/disk-budget.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";
import { rejection } from "../storetest/writing.ts";
import { BoundedBlobStore } from "./bounded-blob-store.ts";

const MIB = 1024 * 1024;
const bytes = sampleBytes(MIB);

function bounded(maxSize: number) {
  const disk = async () => ({ free: 1e12, size: 1e12 });
  const budget = new DiskBudget({ limits: { maxSize, minFree: 0 }, disk, blockSize: 1 });
  return { budget, store: new BoundedBlobStore(new MemoryBlobStore(), budget) };
}

test("space is claimed for what is written ahead, by several at once, and given back", async () => {
  const { store, budget } = bounded(10 * MIB);
  const writer = await store.writer(digestOf(bytes));
  await writer.reserve(MIB);
  await Promise.all(
    [200_000, 400_000, 800_000].map((first) =>
      writer.writeAhead(first, [bytes.subarray(first, first + 100_000)]),
    ),
  );
  expect(budget.partialBytes).toBeGreaterThanOrEqual(300_000);
  expect(budget.partialBytes).toBeLessThanOrEqual(MIB);
  await writer.suspend();
  expect(budget.partialBytes).toBe(300_000);
  const resumed = await store.writer(digestOf(bytes));
  await resumed.reserve(MIB);
  // Some bytes that are there are received again, which takes no more space.
  await resumed.append(bytes.subarray(0, 250_000));
  while (await resumed.absorb());
  await resumed.append(bytes.subarray(resumed.length));
  expect([resumed.verify(), resumed.ahead]).toEqual([true, []]);
  expect(budget.partialBytes).toBeLessThanOrEqual(MIB);
  await resumed.commit();
  expect([budget.blobBytes, budget.partialBytes]).toEqual([MIB, 0]);
});

test("nothing is written ahead for which there is no space, and all of it is given back", async () => {
  const { store, budget } = bounded(500_000);
  const writer = await store.writer(digestOf(bytes));
  const outcomes = await Promise.allSettled(
    [100_000, 500_000].map((first) =>
      writer.writeAhead(first, [bytes.subarray(first, first + 300_000)]),
    ),
  );
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  expect(writer.ahead).toEqual([{ first: 100_000, end: 400_000 }]);
  expect(await rejection(writer.append(bytes.subarray(0, 100_001 + 100_000)))).toBeInstanceOf(
    Fault,
  );
  expect([budget.partialBytes, budget.used]).toEqual([300_000, 300_000]);
  await writer.discard();
  expect(budget.partialBytes).toBe(0);
});
