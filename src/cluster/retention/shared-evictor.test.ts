import { expect, test } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import { sampleShared } from "../clustertest/shared-store-conformance.ts";
import { MemorySharedStore } from "../shared-store/memory-shared-store.ts";
import { SharedStoreError } from "../shared-store/shared-store-error.ts";
import { MemoryObjectLedger } from "../objects/memory-object-ledger.ts";
import { DELETION_MS, type Fence, GRACE_MS } from "../objects/object-ledger.ts";
import { SharedEvictor } from "./shared-evictor.ts";

const HOUR = 3_600_000;
const SIZE = 100;
const forever = new AbortController().signal;

/** A store that refuses to delete some objects. */
class LockingStore extends MemorySharedStore {
  readonly locked = new Set<Digest>();
  /** How many objects each request named. */
  readonly requests: number[] = [];

  override async remove(digests: readonly Digest[], signal?: AbortSignal): Promise<void> {
    this.requests.push(digests.length);
    await super.remove(
      digests.filter((digest) => !this.locked.has(digest)),
      signal,
    );
    if (!digests.some((digest) => this.locked.has(digest))) return;
    const problem = { kind: "denied", action: "DeleteObject", code: "AccessDenied" } as const;
    throw new SharedStoreError(this.name, problem);
  }
}

/** A ledger of which a test can say what happens while it answers. */
class SlowLedger extends MemoryObjectLedger {
  whileTaking = (): void => {};

  override async takeGoing(fence: Fence, limit: number, graceMs?: number): Promise<Digest[]> {
    const taken = await super.takeGoing(fence, limit, graceMs);
    this.whileTaking();
    return taken;
  }
}

/** A store of so many objects of 100 bytes, the last of which was used last, and its leader. */
async function leading(count: number, maxSize: number | undefined) {
  let later = 0;
  const objects = new SlowLedger(() => later);
  const store = new LockingStore();
  const blobs = Array.from({ length: count }, (_, seed) => sampleShared(SIZE, seed));
  for (const blob of blobs) await store.write(blob);
  await objects.stored(
    blobs.map(({ digest, size }, at) => ({ digest, size, storedAgo: (count - at) * HOUR })),
  );
  const told: string[] = [];
  const leadership: { fence: Fence | undefined } = { fence: objects.lead() };
  const evictor = new SharedEvictor({
    objects,
    store,
    maxSize,
    leadership,
    batch: 4,
    events: {
      evicted: ({ objects: gone, bytes }) => told.push(`${gone} of ${bytes} bytes`),
      fullOfPins: (bytes) => told.push(`${bytes} bytes are pinned`),
      deletionRefused: () => told.push("refused"),
    },
  });
  return {
    objects,
    store,
    digests: blobs.map(({ digest }) => digest),
    told,
    leadership,
    round: () => evictor.round(forever),
    evictor,
    pass: (milliseconds: number) => (later += milliseconds),
    left: async () => (await Array.fromAsync(store.list())).length,
  };
}

test("a store above its limit loses what was used least recently, after the grace period", async () => {
  const cluster = await leading(20, 1000);
  await cluster.round();
  // Above 950 bytes, down to 900.
  expect((await cluster.objects.totals()).here.bytes).toBe(900);
  expect(await cluster.left()).toBe(20);
  cluster.pass(GRACE_MS - 1);
  await cluster.round();
  expect(await cluster.left()).toBe(20);
  cluster.pass(1);
  await cluster.round();
  expect(cluster.told).toEqual(["4 of 400 bytes", "4 of 400 bytes", "3 of 300 bytes"]);
  const left = await Array.fromAsync(cluster.store.list());
  expect(left.map(({ digest }) => digest)).toEqual(cluster.digests.slice(11).toSorted());
  await cluster.round();
  expect(await cluster.left()).toBe(9);
});

test("what is used while it goes stays, and another one goes", async () => {
  const cluster = await leading(10, 1000);
  await cluster.round();
  const oldest = cluster.digests[0] ?? "none";
  expect((await cluster.objects.totals()).going.objects).toBe(1);
  await cluster.objects.used(new Map(cluster.digests.slice(0, 1).map((digest) => [digest, 0])));
  cluster.pass(GRACE_MS);
  await cluster.round();
  cluster.pass(GRACE_MS);
  await cluster.round();
  const left = (await Array.fromAsync(cluster.store.list())).map(({ digest }) => String(digest));
  expect(left).toHaveLength(9);
  expect(left).toContain(oldest);
});

test("a store within its limit, or without one, is left as it is", async () => {
  for (const maxSize of [1100, undefined]) {
    const cluster = await leading(10, maxSize);
    await cluster.round();
    expect((await cluster.objects.totals()).going.objects).toBe(0);
  }
});

test("a replica that does not lead neither marks nor deletes", async () => {
  const cluster = await leading(10, 500);
  cluster.leadership.fence = undefined;
  await cluster.round();
  expect((await cluster.objects.totals()).going.objects).toBe(0);
  await cluster.evictor.mark(0, forever);
  cluster.pass(GRACE_MS);
  await cluster.round();
  expect(cluster.store.requests).toEqual([]);
});

test("a leader that was stopped after it took objects deletes none of them, and the next one does", async () => {
  const cluster = await leading(4, 100);
  await cluster.round();
  cluster.pass(GRACE_MS);
  // It is stopped while the ledger answers, and another one leads when it goes on.
  cluster.objects.whileTaking = () => (cluster.leadership.fence = undefined);
  await cluster.round();
  cluster.objects.whileTaking = () => {};
  expect(cluster.store.requests).toEqual([]);
  cluster.leadership.fence = cluster.objects.lead();
  await cluster.round();
  expect(cluster.store.requests).toEqual([]);
  cluster.pass(DELETION_MS + 1);
  await cluster.round();
  expect(await cluster.left()).toBe(0);
});

test("a locked object does not keep others from being deleted, and is kept", async () => {
  const cluster = await leading(8, 100);
  for (const digest of cluster.digests.slice(0, 1)) cluster.store.locked.add(digest);
  await cluster.evictor.mark(0, forever);
  cluster.pass(GRACE_MS);
  await cluster.round();
  expect(await cluster.left()).toBe(1);
  expect(await cluster.objects.page(9)).toMatchObject([{ state: "here", isKept: true }]);
  // Four, two and two, one and one; then the other four.
  expect(cluster.store.requests).toEqual([4, 2, 2, 1, 1, 4]);
  // All that is left is pinned or locked.
  expect(cluster.told).not.toContain("refused");
});

test("where nothing can be deleted, nothing more is marked, until it can", async () => {
  const cluster = await leading(20, 1000);
  for (const digest of cluster.digests) cluster.store.locked.add(digest);
  await cluster.round();
  const { going } = await cluster.objects.totals();
  cluster.pass(GRACE_MS);
  await cluster.round();
  await cluster.round();
  cluster.pass(DELETION_MS + 1);
  await cluster.objects.stored([{ digest: sampleShared(9, 99).digest, size: 900, storedAgo: 0 }]);
  await cluster.round();
  expect((await cluster.objects.totals()).going).toEqual(going);
  expect(new Set(cluster.told)).toEqual(new Set(["refused"]));
  cluster.store.locked.clear();
  cluster.pass(DELETION_MS + 1);
  await cluster.round();
  expect(cluster.told.at(-1)).not.toBe("refused");
  expect(await cluster.left()).toBeLessThan(20);
});

test("a limit that pinned objects alone exceed is told", async () => {
  const cluster = await leading(10, 500);
  await cluster.objects.keep(cluster.digests);
  await cluster.round();
  expect(cluster.told).toEqual(["1000 bytes are pinned"]);
});
