import { expect, test } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import { digestNumber } from "../clustertest/opened-object-ledger.ts";
import { sampleShared } from "../clustertest/shared-store-conformance.ts";
import { MemorySharedStore } from "../shared-store/memory-shared-store.ts";
import type { SharedObject } from "../shared-store/shared-store.ts";
import { MemoryObjectLedger } from "../objects/memory-object-ledger.ts";
import type { Fence } from "../objects/object-ledger.ts";
import { ObjectInventory } from "./object-inventory.ts";
import type { Reconciled } from "./retention-events.ts";

const HOUR = 3_600_000;
const forever = new AbortController().signal;

/** A store whose lists need not be right. */
class LyingStore extends MemorySharedStore {
  readonly concealed = new Set<Digest>();
  readonly invented: SharedObject[] = [];
  /** How many lists were begun, and how often it was asked for a single object. */
  lists = 0;
  looks = 0;

  override async size(digest: Digest, signal?: AbortSignal): Promise<number | undefined> {
    this.looks += 1;
    return super.size(digest, signal);
  }

  override async *list(after?: Digest, signal?: AbortSignal): AsyncGenerator<SharedObject> {
    this.lists += 1;
    for await (const object of super.list(after, signal)) {
      if (!this.concealed.has(object.digest)) yield object;
    }
    yield* this.invented.splice(0);
  }
}

/** A store of so many objects, which have been there for two days, and the ledger, which knows nothing of them. */
async function leading(count: number) {
  let later = 48 * HOUR;
  const objects = new MemoryObjectLedger(() => later);
  let written = 0;
  const store = new LyingStore(() => written);
  const blobs = Array.from({ length: count }, (_, seed) => sampleShared(100, seed));
  const write = async (all = blobs): Promise<void> => {
    for (const blob of all) await store.write(blob);
  };
  await write();
  const told: Reconciled[] = [];
  const leadership: { fence: Fence | undefined } = { fence: objects.lead() };
  const begin = (): ObjectInventory =>
    new ObjectInventory({
      objects,
      store,
      leadership,
      events: { listed: (reconciled) => told.push(reconciled) },
      page: 4,
      pagesPerRound: 2,
      now: () => later,
    });
  let inventory = begin();
  return {
    objects,
    store,
    blobs,
    write,
    told,
    leadership,
    digests: blobs.map(({ digest }) => digest).toSorted(),
    round: () => inventory.round(forever),
    /** Has another replica lead. */
    change: () => (inventory = begin()),
    pass: (milliseconds: number) => (later += milliseconds),
    writeAt: (moment: number) => (written = moment),
    /** The ledger knows all objects, for two hours. */
    know: () =>
      objects.stored(blobs.map(({ digest, size }) => ({ digest, size, storedAgo: 2 * HOUR }))),
  };
}

test("what the ledger does not know is adopted with its date, some pages in each round", async () => {
  const cluster = await leading(10);
  await cluster.round();
  expect((await cluster.objects.totals()).here.objects).toBe(8);
  expect(cluster.told).toEqual([]);
  await cluster.round();
  expect((await cluster.objects.totals()).here).toEqual({ objects: 10, bytes: 1000 });
  expect(await cluster.objects.page(1)).toMatchObject([{ usedAgo: 48 * HOUR, state: "here" }]);
  expect(cluster.told).toEqual([{ listed: 10, adopted: 10, lost: 0, concealed: 0 }]);
});

test("the next list begins a day after the last one ended", async () => {
  const cluster = await leading(3);
  await cluster.round();
  cluster.pass(23 * HOUR);
  await cluster.round();
  expect(cluster.store.lists).toBe(1);
  cluster.pass(2 * HOUR);
  await cluster.round();
  expect(cluster.store.lists).toBe(2);
});

test("another leader goes on where the one before was", async () => {
  const cluster = await leading(10);
  await cluster.round();
  cluster.change();
  await cluster.round();
  expect(cluster.told).toEqual([{ listed: 2, adopted: 2, lost: 0, concealed: 0 }]);
});

test("a replica that does not lead lists nothing", async () => {
  const cluster = await leading(3);
  cluster.leadership.fence = undefined;
  await cluster.round();
  expect(cluster.store.lists).toBe(0);
});

test("an object whose date is in the future was put now", async () => {
  const cluster = await leading(0);
  cluster.writeAt(96 * HOUR);
  await cluster.write([sampleShared(5)]);
  await cluster.round();
  expect(await cluster.objects.page(1)).toMatchObject([{ storedAgo: 0 }]);
});

test("what the store has lost is forgotten, wherever in the list it was", async () => {
  const cluster = await leading(10);
  await cluster.know();
  const lost = [0, 5, 9].flatMap((at) => cluster.digests[at] ?? []);
  await cluster.store.remove(lost);
  await cluster.round();
  await cluster.round();
  expect(cluster.told).toEqual([{ listed: 7, adopted: 0, lost: 3, concealed: 0 }]);
  const known = (await cluster.objects.page(100)).map(({ digest }) => digest);
  expect(known).toEqual(cluster.digests.filter((digest) => !lost.includes(digest)));
});

test("a store that has lost everything is found empty", async () => {
  const cluster = await leading(0);
  const lost = Array.from({ length: 2500 }, (_, number) => digestNumber(number));
  for (const digest of lost) {
    await cluster.objects.stored([{ digest, size: 1, storedAgo: 2 * HOUR }]);
  }
  await cluster.round();
  expect(cluster.told).toEqual([{ listed: 0, adopted: 0, lost: 2500, concealed: 0 }]);
  expect((await cluster.objects.totals()).here.objects).toBe(0);
});

test("what a list conceals stays, and from a hundred on nothing is looked at any more", async () => {
  const cluster = await leading(250);
  await cluster.know();
  for (const digest of cluster.digests) cluster.store.concealed.add(digest);
  await cluster.round();
  expect((await cluster.objects.totals()).here.objects).toBe(250);
  expect(cluster.store.looks).toBeLessThan(120);
  expect(cluster.told).toMatchObject([{ listed: 0, lost: 0 }]);
});

test("what was put a moment ago need not be in the list", async () => {
  const cluster = await leading(3);
  const [blob] = cluster.blobs;
  if (!blob) throw new Error("there is no blob");
  await cluster.objects.stored([{ digest: blob.digest, size: 100, storedAgo: 0 }]);
  cluster.store.concealed.add(blob.digest);
  await cluster.round();
  expect(cluster.store.looks).toBe(0);
});

test("an object that only a list knows is forgotten by the next list", async () => {
  const cluster = await leading(2);
  const digest = sampleShared(7, 7).digest;
  cluster.store.invented.push({ digest, size: 7, storedAt: 0 });
  await cluster.round();
  expect((await cluster.objects.totals()).here.objects).toBe(3);
  cluster.pass(25 * HOUR);
  await cluster.round();
  expect((await cluster.objects.totals()).here.objects).toBe(2);
});
