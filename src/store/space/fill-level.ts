import type { InodeBudget } from "./inode-budget.ts";

/** How much disk space the store may use, in bytes. */
export interface DiskLimits {
  /** Quota for blobs, partial downloads and metadata together: `storage.maxSize`. */
  readonly maxSize: number;
  /** What stays free on the disk, whatever else is stored there: `storage.minFree`. */
  readonly minFree: number;
}

/** The least slack while no claim waits. */
const MIN_SLACK = 0.5;
/** Watermarks, as parts of `maxSize`: eviction begins above the high one and stops at the low one. */
export const LOW_WATER = 0.95;
const HIGH_WATER = 0.98;
/**
 * The part of `maxSize` up to which metadata counts. Nothing that is evicted makes it smaller at once:
 * if it counted as a whole, a small store would remove all its blobs and still be too large.
 */
export const MAX_METADATA = 0.5;

export interface FillLevelOptions {
  readonly limits: DiskLimits;
  /** What counts towards `maxSize`, in bytes. */
  readonly used: number;
  /** What downloads in progress will add, in bytes; 0 by default. */
  readonly coming?: number;
  /** Of the disk, in bytes. */
  readonly free: number;
  /** The sum of all claims that wait for space. */
  readonly waitingBytes: number;
  readonly inodes: Pick<InodeBudget, "shortage" | "isTight" | "isWaiting">;
}

/** How full a store and its disk are at a moment, and what that means for eviction. */
export class FillLevel {
  readonly #options: FillLevelOptions;

  constructor(options: FillLevelOptions) {
    this.#options = options;
  }

  /** How many bytes eviction has to free until it may stop; 0 or less if there is nothing to do. */
  get excess(): number {
    const { limits, used, free, waitingBytes } = this.#options;
    const { maxSize, minFree } = limits;
    // A little more than minFree, so that the next eviction does not begin at once.
    const targetFree = minFree === 0 ? 0 : minFree + (1 - LOW_WATER) * Math.min(maxSize, minFree);
    return Math.max(
      used - LOW_WATER * maxSize,
      used + waitingBytes - maxSize,
      targetFree - free,
      minFree + waitingBytes - free,
    );
  }

  /** How many inodes eviction has to free until it may stop; 0 or less if there is nothing to do. */
  get inodeShortage(): number {
    return this.#options.inodes.shortage;
  }

  /** Whether eviction may stop. */
  get isRelieved(): boolean {
    return this.excess <= 0 && this.inodeShortage <= 0;
  }

  /** Whether eviction should begin, which is before a claim has to wait for it. */
  get isTight(): boolean {
    const { limits, used, free, inodes } = this.#options;
    return used > HIGH_WATER * limits.maxSize || free < limits.minFree || inodes.isTight;
  }

  /** Whether so many bytes fit beside all that is stored or coming, so that nothing would be evicted for them. */
  hasRoomFor(bytes: number): boolean {
    const { limits, used, coming = 0, free, inodes } = this.#options;
    const added = coming + bytes;
    const isBelowQuota = used + added <= HIGH_WATER * limits.maxSize;
    return isBelowQuota && free - added >= limits.minFree && !inodes.isTight;
  }

  /**
   * What part of its full pause eviction may take between two steps: from 1 (no hurry) down to 0.5
   * as usage comes closer to the limits, and 0 while a claim waits for space.
   */
  get slack(): number {
    const { limits, used, free, waitingBytes, inodes } = this.#options;
    if (waitingBytes > 0 || inodes.isWaiting) return 0;
    const { maxSize, minFree } = limits;
    const inQuota = (maxSize - used) / ((1 - HIGH_WATER) * maxSize);
    const onDisk = (free - minFree) / ((1 - LOW_WATER) * Math.min(maxSize, minFree));
    return Math.max(MIN_SLACK, Math.min(1, inQuota, minFree === 0 ? 1 : onDisk));
  }
}
