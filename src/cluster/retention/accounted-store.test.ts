import { expect, test } from "bun:test";
import * as fc from "fast-check";
import type { Digest } from "../../oci/digest.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import type { BlobUse } from "../../store/metadata-store.ts";
import { storeBytes } from "../../store/storetest/writing.ts";
import { sampleShared } from "../clustertest/shared-store-conformance.ts";
import { until } from "../../../test/harness/waiting.ts";
import { MemoryObjectLedger } from "../objects/memory-object-ledger.ts";
import { GRACE_MS } from "../objects/object-ledger.ts";
import { MemorySharedStore } from "../shared-store/memory-shared-store.ts";
import { SharedStoreHealth } from "../shared-store/shared-store-health.ts";
import { SharedSweep } from "../shared-store/shared-sweep.ts";
import { SharedWrites } from "../shared-store/shared-writes.ts";
import { ObjectReports } from "./object-reports.ts";

const HOUR = 3_600_000;

/** One replica with four blobs, a shared store and its ledger. */
async function replica() {
  let later = 0;
  const now = (): number => later;
  const objects = new MemoryObjectLedger(now);
  const store = new MemorySharedStore();
  const local = new MemoryBlobStore();
  const health = new SharedStoreHealth({ failed: () => {}, recovered: () => {} });
  const reports = new ObjectReports({ objects, onError: () => {}, interval: HOUR, now });
  const writes = new SharedWrites({
    store,
    local: { store: local, using: (_, work) => work() },
    health,
    news: reports,
    events: { shared: () => {}, notShareable: () => {}, damaged: () => {}, left: () => {} },
  });
  const records: BlobUse[] = [];
  for (let seed = 0; seed < 4; seed += 1) {
    const { content, digest, size } = sampleShared(100, seed);
    await storeBytes(local, content);
    // The last one was used last.
    records.push({ digest, size, storedAt: 0, usedAt: seed * HOUR });
  }
  later = 5 * HOUR;
  const page = async (): Promise<BlobUse[]> => records;
  const isOwn = async (): Promise<boolean> => true;
  const news = reports;
  const sweep = new SharedSweep({ store, health, writes, records: { page }, isOwn, news, now });
  const written = (): Promise<unknown> =>
    until(() => writes.backlog === 0, { what: "the writes" }).then(() => reports.flush());
  const closing = new AsyncDisposableStack();
  closing.use(reports);
  closing.use(writes);
  closing.use(sweep);
  return {
    objects,
    store,
    writes,
    digests: records.map(({ digest }) => digest),
    sweep: async () => {
      const missing = await sweep.run();
      await written();
      return missing;
    },
    write: async (digest: Digest) => {
      writes.add(digest);
      await written();
    },
    /** Evicts so many, and returns what is left. */
    evict: async (count: number) => {
      await objects.markLeastRecentlyUsed({ above: 0, limit: count });
      later += GRACE_MS;
      const fence = objects.lead();
      const taken = await objects.takeGoing(fence, count);
      return {
        fence,
        taken,
        delete: () => store.remove(taken).then(() => objects.deleted(fence, taken)),
      };
    },
    known: async () => (await objects.page(9)).map(({ digest }) => digest),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

test("what is written is known to the ledger, and a sweep adds what it lacks", async () => {
  await using one = await replica();
  const [first] = one.digests;
  if (!first) throw new Error("unreachable");
  await one.write(first);
  expect(await one.known()).toEqual([first]);
  expect(await one.sweep()).toBe(3);
  expect(await one.known()).toEqual(one.digests.toSorted());
  expect(await one.sweep()).toBe(0);
});

test("what was evicted does not come back by a sweep, but by being pulled again", async () => {
  await using one = await replica();
  for (const digest of one.digests) await one.write(digest);
  const evicted = await one.evict(1);
  await evicted.delete();
  expect(await one.sweep()).toBe(0);
  const [gone] = evicted.taken;
  if (!gone) throw new Error("nothing was evicted");
  expect(await one.store.size(gone)).toBeUndefined();
  await one.write(gone);
  expect(await one.store.size(gone)).toBe(100);
  expect(await one.known()).toContain(gone);
});

test("what is just being deleted is not written meanwhile", async () => {
  await using one = await replica();
  for (const digest of one.digests) await one.write(digest);
  const evicted = await one.evict(1);
  const [gone] = evicted.taken;
  if (!gone) throw new Error("nothing was evicted");
  await one.store.remove([gone]);
  await one.write(gone);
  expect(await one.store.size(gone)).toBeUndefined();
  await evicted.delete();
  await one.write(gone);
  expect(await one.store.size(gone)).toBe(100);
});

/** A PUT and an eviction, whose steps come in turns, and what else may happen in between. */
type Turn = "put" | "evict" | "use" | "wait" | "lead";

test("in whatever order a PUT and an eviction have their steps, the ledger never says of a lost object that it is there", async () => {
  const { digest, size, bytes } = sampleShared(100);
  const weighed = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom<Turn>("put", "evict") },
    { weight: 1, arbitrary: fc.constantFrom<Turn>("use", "wait", "lead") },
  );
  const run = async (turns: readonly Turn[]): Promise<void> => {
    let later = 0;
    const now = (): number => later;
    const objects = new MemoryObjectLedger(now);
    const store = new MemorySharedStore();
    await using reports = new ObjectReports({ objects, onError() {}, interval: HOUR, now });
    let leader = objects.lead();
    async function* puts(): AsyncGenerator<void> {
      for (;;) {
        const claim = await reports.claim(digest);
        yield;
        if (!claim) continue;
        await store.write({ digest, size, bytes });
        yield;
        claim.stored(size);
        await reports.flush();
        yield;
      }
    }
    async function* evictions(): AsyncGenerator<void> {
      for (;;) {
        await objects.markLeastRecentlyUsed({ above: 0, limit: 1 });
        yield;
        later += GRACE_MS;
        yield;
        const fence = leader;
        const taken = await objects.takeGoing(fence, 1);
        yield;
        await store.remove(taken);
        yield;
        await objects.deleted(fence, taken);
        yield;
      }
    }
    const [putting, evicting] = [puts(), evictions()];
    for (const turn of turns) {
      if (turn === "put") await putting.next();
      else if (turn === "evict") await evicting.next();
      else if (turn === "use") await objects.used(new Map([[digest, 0]]));
      else if (turn === "wait") later += GRACE_MS / 2;
      else leader = objects.lead();
      const [known] = await objects.page(1);
      if (known && known.state !== "deleting") expect(await store.size(digest)).toBe(size);
    }
  };
  await fc.assert(fc.asyncProperty(fc.array(weighed, { minLength: 40, maxLength: 60 }), run), {
    numRuns: 1000,
  });
});
