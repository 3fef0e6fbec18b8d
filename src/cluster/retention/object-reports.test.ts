import { expect, test } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import { digestNumber, one, two } from "../clustertest/opened-object-ledger.ts";
import { MemoryObjectLedger } from "../objects/memory-object-ledger.ts";
import { type Fence, GRACE_MS, USE_STEP_MS } from "../objects/object-ledger.ts";
import { ObjectReports } from "./object-reports.ts";

/** A ledger that can be away, and notes what it is told. */
class NotedLedger extends MemoryObjectLedger {
  isAway = false;
  readonly uses: number[] = [];

  override async used(ages: ReadonlyMap<Digest, number>): Promise<void> {
    this.#mustBeUp();
    this.uses.push(ages.size);
    await super.used(ages);
  }

  override async stored(objects: Parameters<MemoryObjectLedger["stored"]>[0]): Promise<void> {
    this.#mustBeUp();
    await super.stored(objects);
  }

  override async claim(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    this.#mustBeUp();
    return super.claim(digests);
  }

  #mustBeUp(): void {
    if (this.isAway) throw new Error("the ledger is away");
  }
}

function reporting() {
  let later = 0;
  const objects = new NotedLedger(() => later);
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const reports = new ObjectReports({ objects, onError, interval: 3_600_000, now: () => later });
  return {
    objects,
    errors,
    reports,
    pass: (milliseconds: number) => (later += milliseconds),
    usedAgo: async () => (await objects.page(9)).map(({ usedAgo }) => usedAgo),
    [Symbol.asyncDispose]: () => reports[Symbol.asyncDispose](),
  };
}

test("uses are told in batches, with their ages, and once in ten minutes", async () => {
  await using replica = reporting();
  await replica.objects.stored([{ digest: one, size: 10, storedAgo: 100 * USE_STEP_MS }]);
  for (let number = 1; number <= 1500; number += 1) replica.reports.used(digestNumber(number));
  replica.pass(2000);
  await replica.reports.flush();
  expect(replica.objects.uses).toEqual([1000, 500]);
  expect(await replica.usedAgo()).toEqual([2000]);
  replica.reports.used(one);
  await replica.reports.flush();
  expect(replica.objects.uses).toHaveLength(2);
  replica.pass(USE_STEP_MS + 1);
  replica.reports.used(one);
  await replica.reports.flush();
  expect(replica.objects.uses).toEqual([1000, 500, 1]);
  expect(await replica.usedAgo()).toEqual([0]);
});

test("what happens while the ledger is away is told when it is back, with its age", async () => {
  await using replica = reporting();
  await replica.objects.stored([{ digest: two, size: 10, storedAgo: 100 * USE_STEP_MS }]);
  replica.objects.isAway = true;
  (await replica.reports.claim(one))?.stored(10);
  replica.reports.used(two);
  await replica.reports.flush();
  expect(replica.errors).toHaveLength(2);
  replica.pass(60_000);
  replica.objects.isAway = false;
  await replica.reports.flush();
  expect(await replica.usedAgo()).toEqual([60_000, 60_000]);
});

test("what was put too long after its claim is not told: it may have been deleted since", async () => {
  await using replica = reporting();
  const claim = await replica.reports.claim(one);
  replica.pass(GRACE_MS);
  claim?.stored(10);
  await replica.reports.flush();
  expect(await replica.objects.page(9)).toEqual([]);
});

test("what is being deleted cannot be claimed", async () => {
  await using replica = reporting();
  await replica.objects.stored([{ digest: one, size: 10, storedAgo: 0 }]);
  await replica.objects.markLeastRecentlyUsed({ above: 0, limit: 1 });
  replica.pass(GRACE_MS);
  const fence: Fence = replica.objects.lead();
  await replica.objects.takeGoing(fence, 1);
  expect(await replica.reports.claim(one)).toBeUndefined();
  await replica.objects.deleted(fence, [one]);
  expect(await replica.reports.claim(one)).toBeDefined();
});

test("what the store lacks is forgotten, unless it was put since", async () => {
  await using replica = reporting();
  await replica.objects.stored([{ digest: one, size: 10, storedAgo: 60_000 }]);
  replica.reports.missing(one);
  replica.reports.missing(two);
  replica.pass(1);
  (await replica.reports.claim(two))?.stored(10);
  await replica.reports.flush();
  expect((await replica.objects.page(9)).map(({ digest }) => digest)).toEqual([two]);
});

test("however much is to be told, a bounded part of it waits", async () => {
  await using replica = reporting();
  replica.objects.isAway = true;
  for (let number = 0; number < 70_000; number += 1) replica.reports.used(digestNumber(number));
  replica.objects.isAway = false;
  await replica.reports.flush();
  expect(replica.objects.uses.reduce((sum, count) => sum + count)).toBe(65_536);
});
