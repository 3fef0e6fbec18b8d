import { describe, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { blobStoreConformance } from "../storetest/blob-store-conformance.ts";
import { rejection, storeBytes } from "../storetest/writing.ts";
import { BoundedBlobStore } from "./bounded-blob-store.ts";
import { digestOf } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { MemoryBlobStore } from "../memory/memory-blob-store.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";
import { DiskBudget } from "./disk-budget.ts";

const MIB = 1024 * 1024;

function bounded(maxSize: number, free = 1e12): { store: BoundedBlobStore; budget: DiskBudget } {
  const disk = async (): Promise<{ free: number; size: number }> => ({ free, size: free });
  const budget = new DiskBudget({ limits: { maxSize, minFree: 0 }, disk });
  return { budget, store: new BoundedBlobStore(new MemoryBlobStore(), budget) };
}

blobStoreConformance("memory within a bound", async () => ({
  store: bounded(1e9).store,
  close: async () => {},
}));

describe("a store with a bound", () => {
  test("counts what is stored, what is on its way, and what is kept of it", async () => {
    const { store, budget } = bounded(10 * MIB);
    const digest = await storeBytes(store, sampleBytes(MIB));
    expect([budget.blobBytes, budget.partialBytes]).toEqual([MIB, 0]);
    const other = sampleBytes(MIB, 2);
    const writer = await store.writer(digestOf(other));
    await writer.append(other.subarray(0, 1000));
    expect(budget.partialBytes).toBeGreaterThanOrEqual(1000);
    await writer.suspend();
    expect([budget.blobBytes, budget.partialBytes]).toEqual([MIB, 1000]);
    const resumed = await store.writer(digestOf(other));
    await resumed.reserve(MIB);
    await resumed.append(other.subarray(1000));
    expect(resumed.verify()).toBe(true);
    await resumed.commit();
    expect([budget.blobBytes, budget.partialBytes]).toEqual([2 * MIB, 0]);
    expect(await store.remove(digest)).toBe(true);
  });

  test("gives back what a draft took that was discarded, or forgotten later", async () => {
    const { store, budget } = bounded(10 * MIB);
    const bytes = sampleBytes(MIB);
    const digest = digestOf(bytes);
    const writer = await store.writer(digest);
    await writer.reserve(MIB);
    await writer.discard();
    expect(budget.used).toBe(0);
    const second = await store.writer(digest);
    await second.append(bytes.subarray(0, 5));
    await second.suspend();
    expect(budget.used).toBe(5);
    expect(await store.removePartial(digest)).toBe(true);
    expect(budget.used).toBe(0);
  });

  test("counts a beginning once that is taken up again while somebody looks for such", async () => {
    const bytes = sampleBytes(1000);
    const digest = digestOf(bytes);
    const disk = async () => ({ free: 1e12, size: 1e12 });
    const budget = new DiskBudget({ limits: { maxSize: MIB, minFree: 0 }, disk });
    const memory = new MemoryBlobStore();
    const left = await memory.writer(digest);
    await left.append(bytes.subarray(0, 500));
    await left.suspend();
    // As a disk tells of it: the size of a file comes some time after its name was read.
    memory.partials = async function* () {
      yield { digest, size: 500, storedAt: 0 };
    };
    const store = new BoundedBlobStore(memory, budget);
    await Array.fromAsync(store.partials());
    expect(budget.partialBytes).toBe(500);
    const writer = await store.writer(digest);
    await Array.fromAsync(store.partials());
    expect(budget.partialBytes).toBe(500);
    await writer.append(bytes.subarray(500));
    writer.verify();
    await writer.commit();
    expect([budget.blobBytes, budget.partialBytes]).toEqual([1000, 0]);
  });

  test("waits for eviction where there is no room, and fails where it brings none", async () => {
    const { store, budget } = bounded(2 * MIB);
    const old = await storeBytes(store, sampleBytes(MIB));
    let evictions = 0;
    budget.setEvictor(async () => {
      evictions += 1;
      if (!(await store.remove(old))) return 0;
      budget.changeBlobBytes(-MIB);
      return MIB;
    });
    await storeBytes(store, sampleBytes(MIB + MIB / 2, 3));
    expect(evictions).toBeGreaterThan(0);
    expect(budget.used).toBe(MIB + MIB / 2);
    const writer = await store.writer(digestOf(sampleBytes(MIB, 4)));
    const error = await rejection(writer.append(sampleBytes(MIB, 4)));
    expect(error).toBeInstanceOf(Fault);
    // It is the bound that is too small for this one, and not the disk: others are still stored.
    expect(budget.fullState.isFull).toBe(false);
    await writer.discard();
    expect(budget.used).toBe(MIB + MIB / 2);
  });

  test("refuses at once what can never fit, and evicts nothing for it", async () => {
    const { store, budget } = bounded(2 * MIB);
    budget.setPinned({ sizes: new Map([[digestOf(sampleBytes(MIB)), MIB]]), bytes: MIB });
    budget.setEvictor(() => Promise.reject(new Error("nothing was to be evicted")));
    const writer = await store.writer(digestOf(sampleBytes(1, 5)));
    const error = await rejection(writer.reserve(MIB + 1));
    expect(String(error)).toContain(
      "1.0 MiB do not fit: 2 MiB may be stored, 1 MiB of it are pinned",
    );
  });
});

describe("what is on its way in", () => {
  const [large, small] = [sampleBytes(MIB + MIB / 2, 7), sampleBytes(MIB, 8)];

  test("takes room as it comes, and no more than it has", async () => {
    const { store, budget } = bounded(2 * MIB);
    const writer = await store.writer(digestOf(large));
    await writer.reserve(large.byteLength);
    expect(budget.used).toBe(0);
    for (const end of [1, 1000, MIB, large.byteLength]) {
      await writer.append(large.subarray(writer.length, end));
      expect(budget.used).toBeGreaterThanOrEqual(end);
      expect(budget.used).toBeLessThanOrEqual(Math.min(end + MIB / 4, large.byteLength));
    }
    await writer.discard();
  });

  test("is refused where it does not fit beside what else is on its way", async () => {
    const { store } = bounded(2 * MIB);
    const writer = await store.writer(digestOf(large));
    await writer.reserve(large.byteLength);
    const other = await store.writer(digestOf(small));
    expect(String(await rejection(other.reserve(MIB)))).toContain(
      "1 MiB do not fit: 2 MiB may be stored, 0 B of it are pinned, 1.5 MiB are for what is on its way in",
    );
    await writer.discard();
    await other.reserve(MIB);
    await other.discard();
  });

  test("has its room where it is pinned already", async () => {
    const { store, budget } = bounded(2 * MIB);
    const digest = digestOf(large);
    budget.setPinned({ sizes: new Map([[digest, large.byteLength]]), bytes: large.byteLength });
    const writer = await store.writer(digest);
    await writer.reserve(large.byteLength);
    await writer.append(large);
    expect(writer.verify()).toBe(true);
    await writer.commit();
    const other = await store.writer(digestOf(small));
    expect(await rejection(other.reserve(MIB))).toBeInstanceOf(Fault);
    await other.discard();
  });

  test("may have the room of what is here, whatever is pinned that is not", async () => {
    const { store, budget } = bounded(20 * MIB, MIB / 2);
    budget.changeBlobBytes(2 * MIB);
    budget.setPinned({ sizes: new Map([[digestOf(small), 4 * MIB]]), bytes: 4 * MIB });
    const writer = await store.writer(digestOf(large));
    await writer.reserve(large.byteLength);
    expect(budget.fullState.isFull).toBe(false);
    await writer.discard();
    const other = await store.writer(digestOf(large));
    expect(await rejection(other.reserve(3 * MIB))).toBeInstanceOf(Fault);
    expect(budget.fullState.isFull).toBe(true);
    await other.discard();
  });

  test("is not given the room that another has taken", async () => {
    const { budget } = bounded(1000);
    budget.changeBlobBytes(1000);
    budget.setEvictor(() => new Promise(() => {}));
    const taken: number[] = [];
    for (const bytes of [100, 90, 80]) void budget.claim(bytes).then(() => taken.push(bytes));
    await setImmediate();
    for (let at = 0; at < 3; at += 1) {
      budget.changeBlobBytes(-100);
      await setImmediate();
      expect(budget.used).toBeLessThanOrEqual(1000);
    }
    expect(taken).toHaveLength(3);
  });

  test("looks for what may go once a second where nothing may", async () => {
    const { budget } = bounded(1000);
    budget.changeBlobBytes(985);
    let evictions = 0;
    budget.setEvictor(async () => {
      evictions += 1;
      return 0;
    });
    for (let at = 0; at < 10; at += 1) {
      await budget.claim(1);
      await setImmediate();
    }
    expect(evictions).toBe(1);
    expect(await rejection(budget.claim(10))).toBeInstanceOf(Fault);
    expect(evictions).toBe(2);
  });

  test("is passed on where room is made, but not soon", async () => {
    const disk = async () => ({ free: 1e12, size: 1e12 });
    const budget = new DiskBudget({ limits: { maxSize: 1000, minFree: 0 }, disk, timeout: 20 });
    budget.changeBlobBytes(3000);
    // One that goes on for minutes.
    budget.setEvictor(() => new Promise(() => {}));
    const waiting = rejection(budget.claim(10));
    await setImmediate();
    budget.changeBlobBytes(-1000);
    const error = await waiting;
    expect(String(error)).toContain("in 0.02 s, eviction made no room for 10 B; it goes on");
    expect([budget.used, budget.fullState.isFull]).toEqual([2000, false]);
    // Nobody waits any more: others have a part of the time.
    expect(budget.slack()).toBeGreaterThan(0);
  });

  test("goes on as soon as there is room for its next piece", async () => {
    const { store, budget } = bounded(MIB + MIB / 4);
    const old = await storeBytes(store, small);
    const [asked, swept] = [Promise.withResolvers<void>(), Promise.withResolvers<number>()];
    budget.setEvictor(() => {
      asked.resolve();
      return swept.promise;
    });
    const writer = await store.writer(digestOf(large));
    const appended = writer.append(large.subarray(0, MIB));
    await asked.promise;
    expect(budget.slack()).toBe(0);
    expect(await store.remove(old)).toBe(true);
    budget.changeBlobBytes(-MIB);
    await appended;
    swept.resolve(MIB);
    await writer.discard();
  });
});
