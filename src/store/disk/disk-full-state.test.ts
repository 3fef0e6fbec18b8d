import { describe, expect, test } from "bun:test";
import { digestOf } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { rejection, storeBytes } from "../storetest/blob-store-conformance.ts";
import { BoundedBlobs } from "./bounded-blob-store.ts";
import { Fullness } from "./disk-full-state.ts";
import { MemoryBlobs } from "../memory/memory-blob-store.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";
import { Space } from "./disk-budget.ts";

describe("a disk that is full", () => {
  test("is told of once, and tried again after a while", async () => {
    let [now, free] = [0, 1000];
    const changes: boolean[] = [];
    const space = new Space({
      bound: { maxSize: 1e12, minFree: 500 },
      disk: async () => ({ free, size: 100_000 }),
      onChange: ({ isFull }) => changes.push(isFull),
      clock: () => now,
    });
    const store = new BoundedBlobs(new MemoryBlobs(), space);
    const digest = digestOf(sampleBytes(5000, 6));
    const draft = await store.draft(digest);
    await rejection(draft.append(sampleBytes(5000, 6)));
    await draft.discard();
    expect(String(await rejection(store.draft(digest)))).toContain("full a moment ago");
    expect(changes).toEqual([true]);
    now = 1000;
    free = 90_000;
    await space.measure();
    expect(space.fullness.isFull).toBe(true);
    now = 3000;
    await space.measure();
    expect(changes).toEqual([true, false]);
    await storeBytes(store, sampleBytes(5000, 6));
    // Full again soon after: it is given longer before it is believed in again.
    space.fullness.fill("again");
    now = 6000;
    await space.measure();
    expect(space.fullness.isFull).toBe(true);
    now = 8000;
    await space.measure();
    expect(changes).toEqual([true, false, true, false]);
  });

  test("is full no more once it has taken contents for a minute, however little is free", async () => {
    let now = 0;
    const space = new Space({
      bound: { maxSize: 1e12, minFree: 500 },
      disk: async () => ({ free: 10_000, size: 1e12 }),
      clock: () => now,
    });
    const store = new BoundedBlobs(new MemoryBlobs(), space);
    space.fullness.fill("others");
    now = 50_000;
    await storeBytes(store, sampleBytes(100, 1));
    expect(space.fullness.isFull).toBe(true);
    space.fullness.fill("others, again");
    now = 100_000;
    await storeBytes(store, sampleBytes(100, 2));
    expect(space.fullness.isFull).toBe(true);
    now = 120_000;
    await storeBytes(store, sampleBytes(100, 3));
    expect(space.fullness.isFull).toBe(false);
  });

  test.each(["ENOSPC", "EDQUOT", "EROFS"])("%s is such a disk", async (code) => {
    const fullness = new Fullness({ onChange: () => {}, clock: () => 0 });
    fullness.failed(
      new Fault(
        { kind: "storage", reason: "x" },
        { cause: Object.assign(new Error("x"), { code }) },
      ),
    );
    expect(fullness.isFull).toBe(true);
  });

  test("too many open files are no full disk", () => {
    const fullness = new Fullness({ onChange: () => {}, clock: () => 0 });
    fullness.failed(Object.assign(new Error("x"), { code: "EMFILE" }));
    expect(fullness.isFull).toBe(false);
  });
});
