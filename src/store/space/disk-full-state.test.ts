import { describe, expect, test } from "bun:test";
import { digestOf } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { rejection, storeBytes } from "../storetest/writing.ts";
import { BoundedBlobStore } from "../disk/bounded-blob-store.ts";
import { DiskFullState } from "./disk-full-state.ts";
import { MemoryBlobStore } from "../memory/memory-blob-store.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";
import { DiskBudget } from "./disk-budget.ts";

describe("DiskFullState", () => {
  test("reports a full disk once, and retries with exponential back-off", async () => {
    let [now, free] = [0, 1000];
    const changes: boolean[] = [];
    const budget = new DiskBudget({
      limits: { maxSize: 1e12, minFree: 500 },
      disk: async () => ({ free, size: 100_000 }),
      onChange: ({ isFull }) => changes.push(isFull),
      clock: () => now,
    });
    const store = new BoundedBlobStore(new MemoryBlobStore(), budget);
    const digest = digestOf(sampleBytes(5000, 6));
    const writer = await store.writer(digest);
    await rejection(writer.append(sampleBytes(5000, 6)));
    await writer.discard();
    expect(String(await rejection(store.writer(digest)))).toContain("full a moment ago");
    expect(changes).toEqual([true]);
    now = 1000;
    free = 90_000;
    await budget.measure();
    expect(budget.fullState.isFull).toBe(true);
    now = 3000;
    await budget.measure();
    expect(changes).toEqual([true, false]);
    await storeBytes(store, sampleBytes(5000, 6));
    // Full again soon after it recovered: the back-off doubles.
    budget.fullState.markFull("again");
    now = 6000;
    await budget.measure();
    expect(budget.fullState.isFull).toBe(true);
    now = 8000;
    await budget.measure();
    expect(changes).toEqual([true, false, true, false]);
  });

  test("retries after 8 s at the latest, however often the disk was full", () => {
    let now = 0;
    const state = new DiskFullState({ onChange: () => {}, clock: () => now });
    for (let time = 0; time < 10; time += 1) {
      state.markFull("again");
      now += 8001;
      state.measured(true);
      expect(state.isFull).toBe(false);
    }
  });

  test.each([
    ["EIO", "recovers with the first blob that is stored", false],
    ["EROFS", "recovers with the first blob that is stored", false],
    ["ENOSPC", "does not recover with one blob that is stored", true],
  ])("after %s, it %s", (code, _, isFull) => {
    let now = 0;
    const state = new DiskFullState({ onChange: () => {}, clock: () => now });
    state.recordFailure(Object.assign(new Error("x"), { code }));
    state.recordSuccess();
    expect(state.isFull).toBe(true);
    now = 3000;
    state.recordSuccess();
    expect(state.isFull).toBe(isFull);
  });

  test("after EIO, the disk is tried again although little is free", () => {
    let now = 0;
    const state = new DiskFullState({ onChange: () => {}, clock: () => now });
    state.recordFailure(Object.assign(new Error("x"), { code: "EIO" }));
    now = 3000;
    state.measured(false);
    expect(state.isFull).toBe(false);
  });

  test("recovers once blobs were stored for a minute, however little is free", async () => {
    let now = 0;
    const budget = new DiskBudget({
      limits: { maxSize: 1e12, minFree: 500 },
      disk: async () => ({ free: 10_000, size: 1e12 }),
      clock: () => now,
    });
    const store = new BoundedBlobStore(new MemoryBlobStore(), budget);
    budget.fullState.markFull("others");
    now = 50_000;
    await storeBytes(store, sampleBytes(100, 1));
    expect(budget.fullState.isFull).toBe(true);
    budget.fullState.markFull("others, again");
    now = 100_000;
    await storeBytes(store, sampleBytes(100, 2));
    expect(budget.fullState.isFull).toBe(true);
    now = 120_000;
    await storeBytes(store, sampleBytes(100, 3));
    expect(budget.fullState.isFull).toBe(false);
  });

  test.each(["ENOSPC", "EDQUOT", "EROFS", "ESTALE", "ENOTCONN"])(
    "%s marks the disk as full",
    async (code) => {
      const state = new DiskFullState({ onChange: () => {}, clock: () => 0 });
      state.recordFailure(
        new Fault(
          { kind: "storage", reason: "x" },
          { cause: Object.assign(new Error("x"), { code }) },
        ),
      );
      expect(state.isFull).toBe(true);
    },
  );

  test("EMFILE does not mark the disk as full", () => {
    const state = new DiskFullState({ onChange: () => {}, clock: () => 0 });
    state.recordFailure(Object.assign(new Error("x"), { code: "EMFILE" }));
    expect(state.isFull).toBe(false);
  });
});
