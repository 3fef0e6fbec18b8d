import { describe, expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import {
  blobStoreConformance,
  rejection,
  storeBytes,
} from "../storetest/blob-store-conformance.ts";
import { BoundedBlobs } from "./bounded-blob-store.ts";
import { digestOf } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { MemoryBlobs } from "../memory/memory-blob-store.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";
import { Space } from "./disk-budget.ts";

const MIB = 1024 * 1024;

function bounded(maxSize: number, free = 1e12): { store: BoundedBlobs; space: Space } {
  const disk = async (): Promise<{ free: number; size: number }> => ({ free, size: free });
  const space = new Space({ bound: { maxSize, minFree: 0 }, disk });
  return { space, store: new BoundedBlobs(new MemoryBlobs(), space) };
}

blobStoreConformance("memory within a bound", async () => ({
  store: bounded(1e9).store,
  close: async () => {},
}));

describe("a store with a bound", () => {
  test("counts what is stored, what is on its way, and what is kept of it", async () => {
    const { store, space } = bounded(10 * MIB);
    const digest = await storeBytes(store, sampleBytes(MIB));
    expect([space.held, space.drafts]).toEqual([MIB, 0]);
    const other = sampleBytes(MIB, 2);
    const draft = await store.draft(digestOf(other));
    await draft.append(other.subarray(0, 1000));
    expect(space.drafts).toBeGreaterThanOrEqual(1000);
    await draft.keep();
    expect([space.held, space.drafts]).toEqual([MIB, 1000]);
    const resumed = await store.draft(digestOf(other));
    await resumed.reserve(MIB);
    await resumed.append(other.subarray(1000));
    expect(resumed.verify()).toBe(true);
    await resumed.commit();
    expect([space.held, space.drafts]).toEqual([2 * MIB, 0]);
    expect(await store.remove(digest)).toBe(true);
  });

  test("gives back what a draft took that was discarded, or forgotten later", async () => {
    const { store, space } = bounded(10 * MIB);
    const bytes = sampleBytes(MIB);
    const digest = digestOf(bytes);
    const draft = await store.draft(digest);
    await draft.reserve(MIB);
    await draft.discard();
    expect(space.used).toBe(0);
    const second = await store.draft(digest);
    await second.append(bytes.subarray(0, 5));
    await second.keep();
    expect(space.used).toBe(5);
    expect(await store.forget(digest)).toBe(true);
    expect(space.used).toBe(0);
  });

  test("counts a beginning once that is taken up again while somebody looks for such", async () => {
    const bytes = sampleBytes(1000);
    const digest = digestOf(bytes);
    const disk = async () => ({ free: 1e12, size: 1e12 });
    const space = new Space({ bound: { maxSize: MIB, minFree: 0 }, disk });
    const memory = new MemoryBlobs();
    const left = await memory.draft(digest);
    await left.append(bytes.subarray(0, 500));
    await left.keep();
    // As a disk tells of it: the size of a file comes some time after its name was read.
    memory.kept = async function* () {
      yield { digest, size: 500, storedAt: 0 };
    };
    const store = new BoundedBlobs(memory, space);
    await Array.fromAsync(store.kept());
    expect(space.drafts).toBe(500);
    const draft = await store.draft(digest);
    await Array.fromAsync(store.kept());
    expect(space.drafts).toBe(500);
    await draft.append(bytes.subarray(500));
    draft.verify();
    await draft.commit();
    expect([space.held, space.drafts]).toEqual([1000, 0]);
  });

  test("waits for eviction where there is no room, and fails where it brings none", async () => {
    const { store, space } = bounded(2 * MIB);
    const old = await storeBytes(store, sampleBytes(MIB));
    let evictions = 0;
    space.evictBy(async () => {
      evictions += 1;
      if (!(await store.remove(old))) return 0;
      space.changeHeld(-MIB);
      return MIB;
    });
    await storeBytes(store, sampleBytes(MIB + MIB / 2, 3));
    expect(evictions).toBeGreaterThan(0);
    expect(space.used).toBe(MIB + MIB / 2);
    const draft = await store.draft(digestOf(sampleBytes(MIB, 4)));
    const error = await rejection(draft.append(sampleBytes(MIB, 4)));
    expect(error).toBeInstanceOf(Fault);
    // It is the bound that is too small for this one, and not the disk: others are still stored.
    expect(space.fullness.isFull).toBe(false);
    await draft.discard();
    expect(space.used).toBe(MIB + MIB / 2);
  });

  test("refuses at once what can never fit, and evicts nothing for it", async () => {
    const { store, space } = bounded(2 * MIB);
    space.pin({ sizes: new Map([[digestOf(sampleBytes(MIB)), MIB]]), bytes: MIB });
    space.evictBy(() => Promise.reject(new Error("nothing was to be evicted")));
    const draft = await store.draft(digestOf(sampleBytes(1, 5)));
    const error = await rejection(draft.reserve(MIB + 1));
    expect(String(error)).toContain(
      "1.0 MiB do not fit: 2 MiB may be stored, 1 MiB of it are pinned",
    );
  });
});

describe("what is on its way in", () => {
  const [large, small] = [sampleBytes(MIB + MIB / 2, 7), sampleBytes(MIB, 8)];

  test("takes room as it comes, and no more than it has", async () => {
    const { store, space } = bounded(2 * MIB);
    const draft = await store.draft(digestOf(large));
    await draft.reserve(large.byteLength);
    expect(space.used).toBe(0);
    for (const end of [1, 1000, MIB, large.byteLength]) {
      await draft.append(large.subarray(draft.length, end));
      expect(space.used).toBeGreaterThanOrEqual(end);
      expect(space.used).toBeLessThanOrEqual(Math.min(end + MIB / 4, large.byteLength));
    }
    await draft.discard();
  });

  test("is refused where it does not fit beside what else is on its way", async () => {
    const { store } = bounded(2 * MIB);
    const draft = await store.draft(digestOf(large));
    await draft.reserve(large.byteLength);
    const other = await store.draft(digestOf(small));
    expect(String(await rejection(other.reserve(MIB)))).toContain(
      "1 MiB do not fit: 2 MiB may be stored, 0 B of it are pinned, 1.5 MiB are for what is on its way in",
    );
    await draft.discard();
    await other.reserve(MIB);
    await other.discard();
  });

  test("has its room where it is pinned already", async () => {
    const { store, space } = bounded(2 * MIB);
    const digest = digestOf(large);
    space.pin({ sizes: new Map([[digest, large.byteLength]]), bytes: large.byteLength });
    const draft = await store.draft(digest);
    await draft.reserve(large.byteLength);
    await draft.append(large);
    expect(draft.verify()).toBe(true);
    await draft.commit();
    const other = await store.draft(digestOf(small));
    expect(await rejection(other.reserve(MIB))).toBeInstanceOf(Fault);
    await other.discard();
  });

  test("may have the room of what is here, whatever is pinned that is not", async () => {
    const { store, space } = bounded(20 * MIB, MIB / 2);
    space.changeHeld(2 * MIB);
    space.pin({ sizes: new Map([[digestOf(small), 4 * MIB]]), bytes: 4 * MIB });
    const draft = await store.draft(digestOf(large));
    await draft.reserve(large.byteLength);
    expect(space.fullness.isFull).toBe(false);
    await draft.discard();
    const other = await store.draft(digestOf(large));
    expect(await rejection(other.reserve(3 * MIB))).toBeInstanceOf(Fault);
    expect(space.fullness.isFull).toBe(true);
    await other.discard();
  });

  test("is not given the room that another has taken", async () => {
    const { space } = bounded(1000);
    space.changeHeld(1000);
    space.evictBy(() => new Promise(() => {}));
    const taken: number[] = [];
    for (const bytes of [100, 90, 80]) void space.take(bytes).then(() => taken.push(bytes));
    await setImmediate();
    for (let at = 0; at < 3; at += 1) {
      space.changeHeld(-100);
      await setImmediate();
      expect(space.used).toBeLessThanOrEqual(1000);
    }
    expect(taken).toHaveLength(3);
  });

  test("looks for what may go once a second where nothing may", async () => {
    const { space } = bounded(1000);
    space.changeHeld(985);
    let evictions = 0;
    space.evictBy(async () => {
      evictions += 1;
      return 0;
    });
    for (let at = 0; at < 10; at += 1) {
      await space.take(1);
      await setImmediate();
    }
    expect(evictions).toBe(1);
    expect(await rejection(space.take(10))).toBeInstanceOf(Fault);
    expect(evictions).toBe(2);
  });

  test("is passed on where room is made, but not soon", async () => {
    const disk = async () => ({ free: 1e12, size: 1e12 });
    const space = new Space({ bound: { maxSize: 1000, minFree: 0 }, disk, patience: 20 });
    space.changeHeld(3000);
    // One that goes on for minutes.
    space.evictBy(() => new Promise(() => {}));
    const waiting = rejection(space.take(10));
    await setImmediate();
    space.changeHeld(-1000);
    const error = await waiting;
    expect(String(error)).toContain("in 0.02 s, eviction made no room for 10 B; it goes on");
    expect([space.used, space.fullness.isFull]).toEqual([2000, false]);
    // Nobody waits any more: others have a part of the time.
    expect(space.leisure()).toBeGreaterThan(0);
  });

  test("goes on as soon as there is room for its next piece", async () => {
    const { store, space } = bounded(MIB + MIB / 4);
    const old = await storeBytes(store, small);
    const [asked, swept] = [Promise.withResolvers<void>(), Promise.withResolvers<number>()];
    space.evictBy(() => {
      asked.resolve();
      return swept.promise;
    });
    const draft = await store.draft(digestOf(large));
    const appended = draft.append(large.subarray(0, MIB));
    await asked.promise;
    expect(space.leisure()).toBe(0);
    expect(await store.remove(old)).toBe(true);
    space.changeHeld(-MIB);
    await appended;
    swept.resolve(MIB);
    await draft.discard();
  });
});
