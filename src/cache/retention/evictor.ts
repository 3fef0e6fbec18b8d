import { setImmediate, setTimeout } from "node:timers/promises";
import type { Digest } from "../../oci/digest.ts";
import type { BoundedBlobStore } from "../../store/disk/bounded-blob-store.ts";
import type { BlobUse, MetadataStore } from "../../store/metadata-store.ts";
import type { DiskBudget } from "../../store/disk/disk-budget.ts";
import type { PinnedBlobs, PinnedSet } from "./pinned-blobs.ts";

/** Contents that are looked at together. */
const PAGE = 128;
/** Contents that go together, in less than a millisecond; between them other work has its turn. */
const BATCH = 8;
/** Between two of them where nobody is about to need the room, in milliseconds. */
const PAUSE_MS = 10;
/** How often and how long a content is waited for that was handed out just now. */
export const BUSY_RETRIES = 20;
export const BUSY_PAUSE_MS = 25;

export interface EvictorOptions {
  readonly store: BoundedBlobStore;
  readonly metadata: Pick<MetadataStore, "blobs">;
  readonly budget: DiskBudget;
  readonly pinned: PinnedBlobs;
  /** Writes down what was used until now. */
  readonly flushUse: () => Promise<void>;
  /** Whether a content is being brought in or read as it came. */
  readonly inUse: (digest: Digest) => boolean;
  /** Told of each content that went. */
  readonly removed: (digest: Digest, why: RemovalReason, bytes: number) => void;
}

export type RemovalReason = "bound" | "quota" | "age" | "purge" | "corrupt";

/** What an eviction took away, or would take. */
export interface Evicted {
  readonly blobs: number;
  readonly bytes: number;
}

/** Keeps the store within its bounds, beside traffic. Facts stay: what is asked for again is refilled. */
export class Evictor {
  readonly #options: EvictorOptions;
  #sweep: Promise<Evicted> | undefined;
  /** Sizes of contents whose file is gone, and whose row in the index is about to go. At most one batch. */
  readonly #going = new Map<Digest, number>();

  constructor(options: EvictorOptions) {
    this.#options = options;
    options.budget.setEvictor(async () => (await this.sweep()).bytes);
  }

  /** Evicts down to the low-water mark, the least recently used first; one at a time. */
  sweep(): Promise<Evicted> {
    this.#sweep ??= this.#toLowWater().finally(() => {
      this.#sweep = undefined;
    });
    return this.#sweep;
  }

  /** What a sweep would take, besides what other bounds have taken already. */
  async wouldSweep(before: Evicted): Promise<Evicted> {
    const tally = new EvictionTally(true);
    const excess = this.#options.budget.excess() - before.bytes;
    if (excess > 0) await this.#least(tally, excess);
    return tally;
  }

  /** Takes a content away for whatever reason. Returns whether it was there. */
  async remove(digest: Digest, size: number, why: RemovalReason): Promise<boolean> {
    // The file first: on a full disk the index may need its room to be written at all.
    const isGone = await this.#removeFile(digest, size, why);
    await this.#options.metadata.blobs.remove([digest]);
    return isGone;
  }

  async #removeFile(digest: Digest, size: number, why: RemovalReason): Promise<boolean> {
    const { store, budget, removed } = this.#options;
    const isGone = await store.remove(digest);
    if (isGone) budget.changeBlobBytes(-size);
    removed(digest, why, size);
    return isGone;
  }

  async #toLowWater(): Promise<Evicted> {
    const { store, budget, flushUse } = this.#options;
    const tally = new EvictionTally(false);
    // Beginnings that nobody goes on with are worth less than anything complete.
    if (budget.excess() > 0) {
      for await (const { digest, size } of store.partials()) {
        if (budget.excess() <= 0) break;
        if (await store.removePartial(digest)) tally.add(size);
      }
    }
    // On a full disk the times of the last seconds may be lost: the order is then a little off.
    await flushUse().catch(() => {});
    for (let turn = 0; budget.excess() > 0 && turn < BUSY_RETRIES; turn += 1) {
      if (turn > 0) await setTimeout(BUSY_PAUSE_MS);
      if (!(await this.#least(tally))) break;
    }
    return tally;
  }

  /**
   * Takes the least recently used until `bytes` went, or until there is no excess. Returns whether
   * something was left that may go in a moment.
   */
  async #least(tally: EvictionTally, bytes?: number): Promise<boolean> {
    const { metadata, budget } = this.#options;
    const isEnough = (): boolean =>
      bytes === undefined ? budget.excess() <= 0 : tally.bytes >= bytes;
    let isWaiting = false;
    let last: BlobUse | undefined;
    for (;;) {
      const page = await metadata.blobs.leastRecentlyUsed(PAGE, last);
      last = page.at(-1);
      if (!last) return isWaiting;
      // With contents their facts go, and these take room as well.
      await budget.measure();
      for (let first = 0; first < page.length; first += BATCH) {
        // Each time anew: what is pinned in the middle of it stays.
        const { sizes } = await this.pinned();
        const batch = page.slice(first, first + BATCH).filter(({ digest }) => !sizes.has(digest));
        if (batch.length === 0) continue;
        if (await this.#take(batch, tally, isEnough)) isWaiting = true;
        if (isEnough()) return false;
        await this.#pause(tally);
      }
    }
  }

  /** Only as long as nobody has to wait for it: all at once would keep readers waiting for the disk. */
  async #pause({ isDry }: EvictionTally): Promise<void> {
    const pause = isDry ? 0 : PAUSE_MS * this.#options.budget.slack();
    await (pause < 1 ? setImmediate() : setTimeout(pause));
  }

  /** Takes the first of them until it is enough. Returns whether some of them were busy. */
  async #take(
    page: readonly BlobUse[],
    tally: EvictionTally,
    isEnough: () => boolean,
  ): Promise<boolean> {
    const gone: Digest[] = [];
    let isWaiting = false;
    try {
      for (const { digest, size } of page) {
        if (isEnough()) break;
        if (this.isBusy(digest)) {
          isWaiting = true;
          continue;
        }
        tally.add(size);
        if (tally.isDry) continue;
        gone.push(digest);
        this.#going.set(digest, size);
        await this.#removeFile(digest, size, "bound");
      }
      // Together: one by one, the index writes four times as much, and keeps others waiting for it.
      // What was stored again meanwhile is younger than all of them.
      const until = Math.max(...page.map(({ storedAt }) => storedAt));
      await this.#options.metadata.blobs.remove(gone, until);
      return isWaiting;
    } finally {
      for (const digest of gone) this.#going.delete(digest);
    }
  }

  /** Whether it must not go now, and may in a moment. */
  isBusy(digest: Digest): boolean {
    return this.#options.inUse(digest) || this.#options.store.recentlyOpened.has(digest);
  }

  /** Whether its file and its row differ, and will agree in a moment. */
  isGoing(digest: Digest): boolean {
    return this.#going.has(digest);
  }

  /** Bytes of what is going, which the index still knows. */
  get goingBytes(): number {
    return this.#going.values().reduce((sum, size) => sum + size, 0);
  }

  async pinned(): Promise<PinnedSet> {
    const content = await this.#options.pinned.content();
    this.#options.budget.setPinned(content);
    return content;
  }
}

export class EvictionTally implements Evicted {
  blobs = 0;
  bytes = 0;

  constructor(readonly isDry: boolean) {}

  add(bytes: number): void {
    this.blobs += 1;
    this.bytes += bytes;
  }
}
