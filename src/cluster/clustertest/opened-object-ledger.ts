import { expect } from "bun:test";
import { type Digest, digestOf } from "../../oci/digest.ts";
import {
  type Fence,
  GRACE_MS,
  type ListedObject,
  type ObjectLedger,
} from "../objects/object-ledger.ts";

/** A ledger that a test may do as it likes with. */
export interface OpenedObjectLedger {
  readonly objects: ObjectLedger;
  /** Empties it. */
  clear(): Promise<void>;
  /** Makes somebody the leader, in place of the one before. */
  lead(): Promise<Fence>;
  /** Lets time go by. */
  later(milliseconds: number): Promise<void>;
  close(): Promise<void>;
}

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

/** A digest that is determined by a number. */
export function digestNumber(number: number): Digest {
  return digestOf(new TextEncoder().encode(String(number)));
}

export const one = digestNumber(1);
export const two = digestNumber(2);
export const three = digestNumber(3);
export const four = digestNumber(4);

/** What tests of an `ObjectLedger` do again and again. */
export class LedgerInTest {
  readonly objects: ObjectLedger;

  constructor(readonly opened: OpenedObjectLedger) {
    this.objects = opened.objects;
  }

  /** Puts objects of ten bytes, the first of which was used last. */
  async put(...digests: Digest[]): Promise<void> {
    await this.objects.stored(
      digests.map((digest, hours) => ({ digest, size: 10, storedAgo: hours * HOUR })),
    );
  }

  async states(): Promise<Partial<Record<string, ListedObject["state"]>>> {
    const page = await this.objects.page(100);
    return Object.fromEntries(page.map(({ digest, state }) => [digest, state]));
  }

  async usedAgo(digest: Digest): Promise<number> {
    const page = await this.objects.page(100);
    return page.find((object) => object.digest === digest)?.usedAgo ?? NaN;
  }

  /** Has an object go, and be taken by the leader, whose fence is returned. */
  async take(digest: Digest): Promise<Fence> {
    await this.put(digest);
    await this.objects.markLeastRecentlyUsed({ above: 0, limit: 1 });
    await this.opened.later(GRACE_MS);
    const fence = await this.opened.lead();
    expect(await this.objects.takeGoing(fence, 10)).toEqual([digest]);
    return fence;
  }
}

/** Defines a test, perhaps only where it can run. */
export type RunTest = (name: string, run: () => Promise<void>) => void;
