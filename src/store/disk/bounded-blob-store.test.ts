import { describe, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { blobStoreConformance } from "../storetest/blob-store-conformance.ts";
import { rejection, storeBytes } from "../storetest/writing.ts";
import { BoundedBlobStore } from "./bounded-blob-store.ts";
import { digestOf } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { MemoryBlobStore } from "../memory/memory-blob-store.ts";
import { partialName } from "../partial-name.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";
import { DiskBudget } from "../space/disk-budget.ts";

const MIB = 1024 * 1024;

function bounded(
  maxSize: number,
  { free = 1e12, blockSize = 1 } = {},
): { store: BoundedBlobStore; budget: DiskBudget } {
  const disk = async (): Promise<{ free: number; size: number }> => ({ free, size: free });
  const budget = new DiskBudget({ limits: { maxSize, minFree: 0 }, disk, blockSize });
  return { budget, store: new BoundedBlobStore(new MemoryBlobStore(), budget) };
}

blobStoreConformance("BoundedBlobStore", async () => ({
  store: bounded(1e9).store,
  close: async () => {},
}));

describe("BoundedBlobStore", () => {
  test("accounts for stored blobs, downloads in progress and suspended downloads", async () => {
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

  test("a blob that cannot be read counts as missing until it is stored anew or removed, and once on the disk", async () => {
    const { store, budget } = bounded(10 * MIB);
    const bytes = sampleBytes(MIB);
    const digest = await storeBytes(store, bytes);
    const failed = (code: string): boolean =>
      store.readFailed(digest, Object.assign(new Error("read"), { code }), 5);
    expect([failed("EMFILE"), failed("ENOENT")]).toEqual([false, false]);
    expect(await store.open(digest)).toBeDefined();
    expect(failed("EIO")).toBe(true);
    expect(await store.open(digest)).toBeUndefined();
    await storeBytes(store, bytes);
    expect([await store.open(digest), store.mustRecount]).toEqual([expect.anything(), true]);
    expect([budget.blobBytes, budget.partialBytes]).toEqual([MIB, 0]);
    expect(failed("EACCES")).toBe(true);
    expect(await store.remove(digest)).toBe(true);
    expect(store.unreadable.size).toBe(0);
  });

  test("accounts for whole blocks, before and after a tiny blob is stored", async () => {
    const { store, budget } = bounded(3 * 4096, { blockSize: 4096 });
    for (const seed of [1, 2]) await storeBytes(store, sampleBytes(11, seed));
    expect([budget.blobBytes, budget.partialBytes]).toEqual([2 * 4096, 0]);
    const writer = await store.writer(digestOf(sampleBytes(4097, 3)));
    await writer.append(sampleBytes(11, 3));
    expect(budget.used).toBe(budget.limits.maxSize);
    await writer.suspend();
    expect([budget.blobBytes, budget.partialBytes]).toEqual([2 * 4096, 4096]);
    const resumed = await store.writer(writer.digest);
    const fault = await rejection(resumed.reserve(3 * 4096 + 1));
    expect(fault instanceof Fault && fault.detail.kind).toBe("no-space");
    await resumed.discard();
    expect(budget.used).toBe(2 * 4096);
  });

  test("goes on with the last figures while the disk cannot be measured", async () => {
    let usage: { free: number; size: number } | undefined = { free: 2 * MIB, size: 10 * MIB };
    let now = 0;
    const budget = new DiskBudget({
      limits: { maxSize: 10 * MIB, minFree: 0 },
      disk: async () => usage,
      clock: () => (now += 1000),
    });
    const store = new BoundedBlobStore(new MemoryBlobStore(), budget);
    await storeBytes(store, sampleBytes(MIB));
    usage = undefined;
    await storeBytes(store, sampleBytes(MIB, 2));
    expect(await rejection(storeBytes(store, sampleBytes(2 * MIB, 3)))).toBeInstanceOf(Fault);
    expect(budget.blobBytes).toBe(2 * MIB);
  });

  test("releases the space of a discarded writer and of a removed partial download", async () => {
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
    expect(await store.removePartial(partialName(digest, ""))).toBe(true);
    expect(budget.used).toBe(0);
  });

  test("accounts once for a partial download that is resumed while partials are listed", async () => {
    const bytes = sampleBytes(1000);
    const digest = digestOf(bytes);
    const disk = async () => ({ free: 1e12, size: 1e12 });
    const budget = new DiskBudget({ limits: { maxSize: MIB, minFree: 0 }, disk });
    const memory = new MemoryBlobStore();
    const earlier = await memory.writer(digest);
    await earlier.append(bytes.subarray(0, 500));
    await earlier.suspend();
    // As on a disk, where the size of a file is read some time after its name.
    memory.partials = async function* () {
      yield { name: partialName(digest, ""), digest, size: 500, storedAt: 0 };
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

  test("waits for eviction when there is no space, and fails when eviction frees none", async () => {
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
    // The quota is too small for this blob, but the disk is not full: others can still be stored.
    expect(budget.fullState.isFull).toBe(false);
    await writer.discard();
    expect(budget.used).toBe(MIB + MIB / 2);
  });

  test("refuses a blob that can never fit at once, without evicting anything", async () => {
    const { store, budget } = bounded(2 * MIB);
    budget.setPinned({ has: (digest) => digest === digestOf(sampleBytes(MIB)), bytes: MIB });
    budget.setEvictor(() => Promise.reject(new Error("nothing was to be evicted")));
    const writer = await store.writer(digestOf(sampleBytes(1, 5)));
    const error = await rejection(writer.reserve(MIB + 1));
    expect(String(error)).toContain(
      "1.0 MiB does not fit: storage.maxSize is 2 MiB, of which 1 MiB is pinned",
    );
  });
});

describe("a download in progress", () => {
  const [large, small] = [sampleBytes(MIB + MIB / 2, 7), sampleBytes(MIB, 8)];

  test("claims space as its bytes arrive, and never more than its size", async () => {
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

  test("is refused when it does not fit beside other downloads in progress", async () => {
    const { store } = bounded(2 * MIB);
    const writer = await store.writer(digestOf(large));
    await writer.reserve(large.byteLength);
    const other = await store.writer(digestOf(small));
    expect(String(await rejection(other.reserve(MIB)))).toContain(
      "1 MiB does not fit: storage.maxSize is 2 MiB, of which 0 B is pinned and 1.5 MiB is reserved for downloads in progress",
    );
    await writer.discard();
    await other.reserve(MIB);
    await other.discard();
  });

  test("uses the space that is counted for it already when it is pinned", async () => {
    const { store, budget } = bounded(2 * MIB);
    const digest = digestOf(large);
    budget.setPinned({ has: (one) => one === digest, bytes: large.byteLength });
    const writer = await store.writer(digest);
    await writer.reserve(large.byteLength);
    await writer.append(large);
    expect(writer.verify()).toBe(true);
    await writer.commit();
    const other = await store.writer(digestOf(small));
    expect(await rejection(other.reserve(MIB))).toBeInstanceOf(Fault);
    await other.discard();
  });

  test("may use the space of stored blobs, even when more is pinned than is stored", async () => {
    const { store, budget } = bounded(20 * MIB, { free: MIB / 2 });
    budget.changeBlobBytes(2 * MIB);
    budget.setPinned({ has: (digest) => digest === digestOf(small), bytes: 4 * MIB });
    const writer = await store.writer(digestOf(large));
    await writer.reserve(large.byteLength);
    expect(budget.fullState.isFull).toBe(false);
    await writer.discard();
    const other = await store.writer(digestOf(large));
    // Any size can be announced. One that does not fit says nothing about other blobs.
    expect(String(await rejection(other.reserve(1e15)))).toContain(
      "does not fit: the disk has 2.5 MiB for blobs",
    );
    expect(budget.fullState.isFull).toBe(false);
    await other.discard();
  });

  test("cannot claim space that another download has claimed", async () => {
    const { budget } = bounded(1000);
    budget.changeBlobBytes(1000);
    budget.setEvictor(() => new Promise(() => {}));
    const claimed: number[] = [];
    for (const bytes of [100, 90, 80]) void budget.claim(bytes).then(() => claimed.push(bytes));
    await setImmediate();
    for (let at = 0; at < 3; at += 1) {
      budget.changeBlobBytes(-100);
      await setImmediate();
      expect(budget.used).toBeLessThanOrEqual(1000);
    }
    expect(claimed).toHaveLength(3);
  });

  test("starts eviction ahead of need at most once a second when nothing can be evicted", async () => {
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

  test("fails with no-space when eviction does not free enough within the timeout", async () => {
    const disk = async () => ({ free: 1e12, size: 1e12 });
    const budget = new DiskBudget({ limits: { maxSize: 1000, minFree: 0 }, disk, timeout: 20 });
    budget.changeBlobBytes(3000);
    // An eviction that takes minutes.
    budget.setEvictor(() => new Promise(() => {}));
    const waiting = rejection(budget.claim(10));
    await setImmediate();
    budget.changeBlobBytes(-1000);
    const error = await waiting;
    expect(String(error)).toContain("eviction did not free 10 B within 20 ms; it continues");
    expect([budget.used, budget.fullState.isFull]).toEqual([2000, false]);
    // No claim waits any more, so eviction pauses between its steps again.
    expect(budget.level.slack).toBeGreaterThan(0);
  });

  test("continues as soon as there is space for its next bytes, before eviction has ended", async () => {
    const { store, budget } = bounded(MIB + MIB / 4);
    const old = await storeBytes(store, small);
    const [requested, swept] = [Promise.withResolvers<void>(), Promise.withResolvers<number>()];
    budget.setEvictor(() => {
      requested.resolve();
      return swept.promise;
    });
    const writer = await store.writer(digestOf(large));
    const appended = writer.append(large.subarray(0, MIB));
    await requested.promise;
    expect(budget.level.slack).toBe(0);
    expect(await store.remove(old)).toBe(true);
    budget.changeBlobBytes(-MIB);
    await appended;
    swept.resolve(MIB);
    await writer.discard();
  });
});
