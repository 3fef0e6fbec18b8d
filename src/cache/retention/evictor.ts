import { setImmediate, setTimeout } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BoundedBlobStore } from "../../store/disk/bounded-blob-store.ts";
import type { BlobUse, MetadataStore } from "../../store/metadata-store.ts";
import type { DiskBudget } from "../../store/space/disk-budget.ts";
import { FREED_PER_BLOB } from "../../store/space/inode-budget.ts";
import type { RemovalReason } from "../removal-reason.ts";
import type { PinnedBlobs, PinnedSet } from "./pinned-blobs.ts";

/** Blobs per page of the LRU list. */
const PAGE_SIZE = 128;
/** Blobs that are removed together, in less than a millisecond; requests are served between batches. */
const BATCH_SIZE = 8;
/** Pause between batches while no write is waiting for space, in milliseconds. */
const PAUSE_MS = 10;
/** How often and how long to wait for a blob that is busy: in use, or opened a moment ago. */
export const BUSY_RETRIES = 20;
export const BUSY_PAUSE_MS = 25;

/** How long a blob that could not be removed is passed over, in milliseconds. */
const STUCK_MS = 600_000;
/** Where too little else can be evicted, such blobs are tried again this often, in milliseconds. */
const RETRY_STUCK_MS = 5000;
/** A sweep in which more than this cannot be removed ends: the disk may be read-only. */
const MAX_FAILED = 8;

export interface EvictorOptions {
  readonly store: BoundedBlobStore;
  readonly metadata: Pick<MetadataStore, "blobs">;
  readonly budget: DiskBudget;
  readonly pinned: PinnedBlobs;
  /** Writes buffered access times to the metadata store. */
  readonly flushAccessTimes: () => Promise<void>;
  /** Whether a blob is being filled, or followers of its fill still read it. */
  readonly inUse: (digest: Digest) => boolean;
  /** Deletes the sidecar files and empty folders of evicted blobs, where inodes are short. */
  readonly deleteRemains: (digests: readonly Digest[]) => Promise<void>;
  /** Called for each blob that was removed. */
  readonly onRemoved: (digest: Digest, reason: RemovalReason, bytes: number) => void;
  /** Called with the fault of a blob that could not be removed. */
  readonly onFailed: (fault: Fault) => void;
  /** Called with the error if records of removed blobs stay: a repair has to remove them. */
  readonly onRecordsLeft: (error: unknown) => void;
}

/** What an eviction removed, or would remove in a dry run. */
export interface Evicted {
  readonly blobs: number;
  /** Of the disk. */
  readonly bytes: number;
}

/**
 * LRU eviction: keeps the store within `maxSize` and `minFree`, and some inodes free, while it serves requests.
 * Once the high-water mark is reached, it removes down to the low-water mark. Pinned blobs stay; tags and links stay
 * as well, so that an evicted blob is filled again on its next request.
 */
export class Evictor {
  readonly #options: EvictorOptions;
  #sweep: Promise<Evicted> | undefined;
  /** The space of blobs whose file is removed and whose record is about to be. At most one batch. */
  readonly #beingRemoved = new Map<Digest, number>();
  /** Blobs whose file could not be removed a while ago: others go instead of them. */
  readonly #stuck = new LRUCache<Digest, true>({ max: 1024, ttl: STUCK_MS });
  /** When all of them were last to be tried again, by the clock of `performance.now()`. */
  #stuckRetriedAt = -Infinity;

  constructor(options: EvictorOptions) {
    this.#options = options;
    options.budget.setEvictor(async () => (await this.sweep()).bytes);
  }

  /** Evicts the least recently used blobs down to the low-water mark. Single-flight. */
  sweep(): Promise<Evicted> {
    this.#sweep ??= this.#sweepToLowWater().finally(() => {
      this.#sweep = undefined;
      this.#retryStuck();
    });
    return this.#sweep;
  }

  /** The disk may have failed for a moment only. */
  #retryStuck(): void {
    const now = performance.now();
    if (this.#options.budget.level.isRelieved || now - this.#stuckRetriedAt < RETRY_STUCK_MS)
      return;
    this.#stuckRetriedAt = now;
    this.#stuck.clear();
  }

  /** Dry run of a sweep, after other limits would have removed `before`. */
  async planSweep(before: Evicted): Promise<Evicted> {
    const tally = new EvictionTally(true);
    const { excess, inodeShortage } = this.#options.budget.level;
    const bytes = excess - before.bytes;
    const blobs = inodeShortage / FREED_PER_BLOB - before.blobs;
    if (bytes > 0 || blobs > 0) await this.#evictLeastRecentlyUsed(tally, { bytes, blobs });
    return tally;
  }

  /** Removes a blob without checking whether it is pinned or busy. Returns whether it was stored. */
  async remove(digest: Digest, size: number, reason: RemovalReason): Promise<boolean> {
    // The file goes first: on a full disk, the metadata write may need the space.
    const wasStored = await this.#removeFile(digest, size, reason);
    await this.#removeRecords([digest]);
    return wasStored;
  }

  async #removeFile(digest: Digest, size: number, reason: RemovalReason): Promise<boolean> {
    const { store, budget, onRemoved } = this.#options;
    const wasStored = await store.remove(digest);
    if (wasStored) budget.changeBlobBytes(-budget.spaceOf(size));
    onRemoved(digest, reason, size);
    return wasStored;
  }

  async #sweepToLowWater(): Promise<Evicted> {
    const { store, budget, flushAccessTimes } = this.#options;
    const tally = new EvictionTally(false);
    // Partial downloads without a writer go first: they are worth less than any complete blob.
    if (!budget.level.isRelieved) {
      for await (const { name, size } of store.partials()) {
        if (budget.level.isRelieved) break;
        // One that cannot be removed must not keep all else from being evicted.
        const isGone = await store.removePartial(name).catch(() => false);
        if (isGone) tally.add(budget.spaceOf(size));
      }
    }
    // This may fail on a full disk. The LRU order then lacks the last seconds, which is acceptable.
    await flushAccessTimes().catch(() => {});
    for (let turn = 0; !budget.level.isRelieved && turn < BUSY_RETRIES; turn += 1) {
      if (turn > 0) await setTimeout(BUSY_PAUSE_MS);
      if (!(await this.#evictLeastRecentlyUsed(tally))) break;
    }
    return tally;
  }

  /**
   * Evicts in LRU order until that much is removed, or until the budget is relieved: first what need not go last.
   * Returns whether a busy blob was skipped, which may be evicted in a moment.
   */
  async #evictLeastRecentlyUsed(tally: EvictionTally, goal?: Evicted): Promise<boolean> {
    const { budget } = this.#options;
    const isEnough = (): boolean =>
      goal === undefined
        ? budget.level.isRelieved
        : tally.bytes >= goal.bytes && tally.blobs >= goal.blobs;
    const hasSkipped = await this.#evictThose(false, tally, isEnough);
    if (isEnough() || !(await this.pinned()).hasLast) return hasSkipped;
    return (await this.#evictThose(true, tally, isEnough)) || hasSkipped;
  }

  async #evictThose(
    goLast: boolean,
    tally: EvictionTally,
    isEnough: () => boolean,
  ): Promise<boolean> {
    const { metadata, budget } = this.#options;
    let hasSkipped = false;
    let last: BlobUse | undefined;
    for (;;) {
      const page = await metadata.blobs.leastRecentlyUsed(PAGE_SIZE, last);
      last = page.at(-1);
      if (!last) return hasSkipped;
      // What others free or take on the disk meanwhile counts as well.
      await budget.measure();
      for (let first = 0; first < page.length; first += BATCH_SIZE) {
        // Read for each batch, so that a pin that is set meanwhile takes effect.
        const pinned = await this.pinned();
        const batch = page
          .slice(first, first + BATCH_SIZE)
          .filter(({ digest }) => !pinned.has(digest) && pinned.goesLast(digest) === goLast);
        if (batch.length === 0) continue;
        if (await this.#evictBatch(batch, tally, isEnough)) hasSkipped = true;
        if (isEnough()) return false;
        await this.#pause(tally);
      }
    }
  }

  /** Pauses unless a write waits for space: without pauses, readers would wait for the disk. */
  async #pause({ isDryRun }: EvictionTally): Promise<void> {
    const pause = isDryRun ? 0 : PAUSE_MS * this.#options.budget.level.slack;
    await (pause < 1 ? setImmediate() : setTimeout(pause));
  }

  /** Returns whether a busy blob was skipped. Throws a Fault if too many could not be removed. */
  async #evictBatch(
    batch: readonly BlobUse[],
    tally: EvictionTally,
    isEnough: () => boolean,
  ): Promise<boolean> {
    const { budget, deleteRemains } = this.#options;
    // A record that was put again before goes with its file. One that is put later belongs to a new file.
    const until = new Map<Digest, number>();
    let hasSkipped = false;
    try {
      for (const { digest, size, storedAt } of batch) {
        if (isEnough() || tally.failed > MAX_FAILED) break;
        if (this.isBusy(digest)) {
          hasSkipped = true;
          continue;
        }
        if (this.#stuck.has(digest)) continue;
        const space = budget.spaceOf(size);
        if (!tally.isDryRun) {
          this.#beingRemoved.set(digest, space);
          const removedAt = Math.max(Date.now(), storedAt);
          if (!(await this.#tryRemove(digest, size, tally))) continue;
          until.set(digest, removedAt);
        }
        tally.add(space);
      }
      // In one transaction: one per blob would write four times as much, and block other writes.
      const removed = [...until.keys()];
      await this.#removeRecords(removed, until);
      if (removed.length > 0 && budget.level.inodeShortage > 0) {
        await deleteRemains(removed);
        budget.inodes.evicted(removed.length);
        await budget.measure();
      }
      if (tally.fault && tally.failed > MAX_FAILED) throw tally.fault;
      return hasSkipped;
    } finally {
      for (const { digest } of batch) this.#beingRemoved.delete(digest);
    }
  }

  async #removeRecords(
    digests: readonly Digest[],
    until?: ReadonlyMap<Digest, number>,
  ): Promise<void> {
    const { metadata, onRecordsLeft } = this.#options;
    try {
      await metadata.blobs.remove(digests, until);
    } catch (error) {
      onRecordsLeft(error);
      throw error;
    }
  }

  /**
   * Removes a file, or remembers that it cannot be: one of them, such as an immutable file, must not
   * keep all others from being evicted.
   */
  async #tryRemove(digest: Digest, size: number, tally: EvictionTally): Promise<boolean> {
    try {
      const isForBytes = this.#options.budget.level.excess > 0;
      await this.#removeFile(digest, size, isForBytes ? "max-size" : "inodes");
      return true;
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      tally.failed += 1;
      tally.fault = error;
      this.#stuck.set(digest, true);
      this.#options.onFailed(error);
      return false;
    }
  }

  /** Whether a blob must not be evicted now, but may be in a moment. */
  isBusy(digest: Digest): boolean {
    return this.#options.inUse(digest) || this.#options.store.recentlyOpened.has(digest);
  }

  /** Whether a blob's file is removed, and its record is about to be. */
  isBeingRemoved(digest: Digest): boolean {
    return this.#beingRemoved.has(digest);
  }

  /** Bytes of blobs whose file is removed, and whose record is about to be. */
  get bytesBeingRemoved(): number {
    return this.#beingRemoved.values().reduce((sum, size) => sum + size, 0);
  }

  /** The blobs that are pinned now. Updates the budget with them. */
  async pinned(): Promise<PinnedSet> {
    const pinned = await this.#options.pinned.current();
    this.#options.budget.setPinned(pinned);
    return pinned;
  }
}

/** Counts what an eviction removes, or would remove in a dry run. */
export class EvictionTally implements Evicted {
  blobs = 0;
  bytes = 0;
  /** How many could not be removed, and why not the last of them. */
  failed = 0;
  fault: Fault | undefined;

  constructor(readonly isDryRun: boolean) {}

  add(bytes: number): void {
    this.blobs += 1;
    this.bytes += bytes;
  }
}
