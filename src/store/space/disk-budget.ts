import { setTimeout } from "node:timers/promises";
import type { Fault } from "../../oci/fault.ts";
import type { DiskUsage } from "./disk-usage.ts";
import { DiskFullState, type DiskFullOptions } from "./disk-full-state.ts";
import { type DiskLimits, FillLevel, MAX_METADATA } from "./fill-level.ts";
import { InodeBudget, type FewInodes } from "./inode-budget.ts";
import { evictionTooSlow, nothingToEvict, overQuota, tooLarge } from "./no-space-faults.ts";
import { type PinnedSizes, type Reserver, Reservations } from "./reservations.ts";

export interface DiskBudgetOptions {
  readonly limits: DiskLimits;
  /** Measures the disk. Resolves to nothing if that fails: then the last figures hold. */
  readonly disk: () => Promise<DiskUsage | undefined>;
  /** The file system's, in bytes; 1 by default. */
  readonly blockSize?: number;
  readonly onChange?: DiskFullOptions["onChange"];
  /** Called at each measurement that finds few free inodes. */
  readonly onFewInodes?: (found: FewInodes) => void;
  /** A monotonic clock, in milliseconds. */
  readonly clock?: () => number;
  /** How long a claim waits for eviction, in milliseconds; 2000 by default. */
  readonly timeout?: number;
}

/**
 * How long a claim waits for eviction before it fails, in milliseconds; the blob is then streamed
 * without being stored. After `maxSize` was lowered a lot, eviction takes minutes.
 */
const EVICTION_TIMEOUT = 2000;
/** How long a measurement of the disk's free space is used, in milliseconds. */
const MEASURE_INTERVAL = 500;
/** How long no eviction starts ahead of need after one found nothing to evict, in milliseconds. */
const EVICTION_BACK_OFF = 1000;
/** A full disk counts as recovered when this much is free, in bytes, or a quarter of a smaller disk. */
const SPACE_TO_RECOVER = 256 * 1024 * 1024;
/**
 * Accounts for the disk space of the store, in bytes, and enforces its limits. Space is claimed
 * before it is written, so the limits hold at every moment, and not only after the next eviction.
 * All bytes here are those of whole blocks, as `spaceOf` gives them for the size of a file.
 *
 * A blob passes through these steps:
 * - `reserve` checks that all of it can fit, once its size is known (admission control);
 * - `claim` takes space for its next bytes, and waits for eviction if needed (backpressure);
 * - `commit` turns claimed space into space of a stored blob, or `release` returns it;
 * - `cancelReservation` ends the reservation in either case.
 */
export class DiskBudget {
  readonly limits: DiskLimits;
  readonly fullState: DiskFullState;
  readonly inodes: InodeBudget;
  readonly blockSize: number;
  readonly #disk: DiskBudgetOptions["disk"];
  readonly #clock: () => number;
  readonly #timeout: number;
  #blobBytes = 0;
  #churn = 0;
  #partialBytes = 0;
  readonly #reservations = new Reservations();
  #metadataBytes = 0;
  #spaceToRecover = SPACE_TO_RECOVER;
  /** Free space when the disk was last measured, less what was claimed since. */
  #free = Infinity;
  #measuredAt = -Infinity;
  #evict: () => Promise<number> = async () => 0;
  /** Until then, no eviction starts ahead of need: the last one found nothing to evict. */
  #backOffUntil = -Infinity;
  /** The sum of all claims that wait for space. */
  #waitingBytes = 0;
  /** Resolves when space is released. */
  #released = Promise.withResolvers<void>();

  constructor(options: DiskBudgetOptions) {
    this.limits = options.limits;
    this.#disk = options.disk;
    this.blockSize = options.blockSize ?? 1;
    this.#clock = options.clock ?? (() => performance.now());
    const { onChange = () => {}, onFewInodes = () => {} } = options;
    this.inodes = new InodeBudget(this.#clock, onFewInodes);
    this.fullState = new DiskFullState({ onChange, clock: this.#clock });
    this.#timeout = options.timeout ?? EVICTION_TIMEOUT;
  }

  /** What a file of this size takes on the disk. */
  spaceOf(size: number): number {
    return Math.ceil(size / this.blockSize) * this.blockSize;
  }

  /** Bytes of stored blobs. */
  get blobBytes(): number {
    return this.#blobBytes;
  }

  /** Bytes stored or removed since the start. A count that runs meanwhile may be off by the increase. */
  get churn(): number {
    return this.#churn;
  }

  /** Bytes of partial downloads, in progress or suspended, including space that is only claimed. */
  get partialBytes(): number {
    return this.#partialBytes;
  }

  /** Bytes of the metadata database and the sidecar files, when they were last measured. */
  get metadataBytes(): number {
    return this.#metadataBytes;
  }

  /** Bytes that count towards `maxSize`. */
  get used(): number {
    return this.#blobBytes + this.#partialBytes + this.#countedMetadata;
  }

  /** Whether there is more metadata than counts, so that the store may become larger than `maxSize`. */
  get hasTooMuchMetadata(): boolean {
    return this.#metadataBytes > this.#countedMetadata;
  }

  get #countedMetadata(): number {
    return Math.min(this.#metadataBytes, MAX_METADATA * this.limits.maxSize);
  }

  /** How full the store and its disk are. */
  get level(): FillLevel {
    const { limits, used, inodes } = this;
    const coming = Math.max(0, this.#reservations.total - this.#partialBytes);
    const disk = { free: this.#free, waitingBytes: this.#waitingBytes };
    return new FillLevel({ limits, used, coming, ...disk, inodes });
  }

  /**
   * Sets the function that evicts blobs and resolves to how many bytes it freed. It is called again
   * while it frees any and a claim waits; concurrent calls must be collapsed by it.
   */
  setEvictor(evict: () => Promise<number>): void {
    this.#evict = evict;
  }

  /** Moves `blobBytes` to within `tolerance` bytes of a count, which concurrent changes may put off. */
  recount(counted: number, tolerance = 0): void {
    this.#blobBytes = Math.min(counted + tolerance, Math.max(counted - tolerance, this.#blobBytes));
  }

  /** Accounts for stored blobs that were added (positive) or removed (negative) outside a download. */
  changeBlobBytes(bytes: number): void {
    this.#blobBytes = Math.max(0, this.#blobBytes + bytes);
    this.#churn += Math.abs(bytes);
    if (bytes >= 0) return;
    this.#free -= bytes;
    this.#wakeWaiting();
  }

  /** Turns claimed space into space of a stored blob. */
  commit(bytes: number): void {
    this.#partialBytes -= bytes;
    this.#blobBytes += bytes;
    this.#churn += bytes;
  }

  /** Returns claimed space, and that of a partial download which was removed. */
  release(bytes: number): void {
    this.#partialBytes -= bytes;
    this.#free += bytes;
    this.#wakeWaiting();
  }

  /**
   * Accounts for bytes of a partial download that are on the disk already, without claiming space for
   * them. Negative if the file turned out to be shorter than was accounted for.
   */
  accountPartial(bytes: number): void {
    this.#partialBytes += bytes;
  }

  /**
   * Claims space for bytes that are about to be written, and waits for eviction if there is none.
   *
   * @throws Fault of kind `no-space` if eviction cannot free enough, or not within the timeout
   */
  async claim(bytes: number): Promise<void> {
    await this.#measureIfOld();
    if (this.#fits(bytes)) this.#charge(bytes);
    else await this.#claimAfterEviction(bytes);
    this.#evictIfTight();
  }

  /** Claims inodes for a blob that is about to be written, until `inodes.release`. */
  async claimInodes(): Promise<void> {
    await this.#measureIfOld();
    await this.inodes.claim(() => this.#evict(), this.#timeout);
    this.#evictIfTight();
  }

  #evictIfTight(): void {
    if (this.level.isTight && this.#clock() >= this.#backOffUntil) void this.#evictAhead();
  }

  async #evictAhead(): Promise<void> {
    const freed = await this.#evict().catch(() => 0);
    // Where nearly everything is pinned, each claim would otherwise scan all of it in vain.
    if (freed === 0) this.#backOffUntil = this.#clock() + EVICTION_BACK_OFF;
  }

  #charge(bytes: number): void {
    this.#partialBytes += bytes;
    this.#free -= bytes;
  }

  /** Charges in the same turn in which the bytes fit, since other claims are woken for that space too. */
  async #claimAfterEviction(bytes: number): Promise<void> {
    const done = new AbortController();
    const { signal } = done;
    const timeout = setTimeout(this.#timeout, "timeout", { signal }).catch(() => "done");
    this.#waitingBytes += bytes;
    try {
      for (;;) {
        // A claim of little space does not wait until eviction has freed all that it has to free.
        const freed = await Promise.race([this.#evict(), this.#released.promise, timeout]);
        if (this.#fits(bytes)) return this.#charge(bytes);
        if (freed === 0) throw this.#limitFault(bytes);
        if (freed === "timeout") throw evictionTooSlow(bytes, this.#timeout);
      }
    } finally {
      this.#waitingBytes -= bytes;
      done.abort();
    }
  }

  #wakeWaiting(): void {
    if (this.#waitingBytes === 0) return;
    this.#released.resolve();
    this.#released = Promise.withResolvers();
  }

  /**
   * Checks that all of a blob can fit beside the pinned blobs and the other downloads in progress,
   * and remembers its size until `cancelReservation`. It takes no space: `claim` does.
   *
   * @throws Fault of kind `no-space` if the blob cannot fit, whatever is evicted
   */
  async reserve(writer: Reserver, bytes: number): Promise<void> {
    await this.#measureIfOld();
    const { maxSize, minFree } = this.limits;
    this.#reservations.delete(writer);
    const needed = this.#reservations.unpinnedBytesWith(writer, bytes);
    // Pinned blobs are not subtracted here, since not all of them are stored: if those that are leave
    // too little space, the claim fails.
    const usable = this.#free + this.used - this.#countedMetadata - minFree;
    // A registry may announce any size: one that fits no disk says nothing about this one.
    if (needed > usable && usable > this.#spaceToRecover) throw tooLarge(bytes, usable);
    if (needed > usable) throw this.#diskFault();
    if (needed > maxSize - this.#reservations.pinnedBytes - this.#countedMetadata)
      throw this.#quotaFault(bytes);
    this.#reservations.set(writer, bytes);
  }

  /** Ends a reservation: the download of the blob has ended. Does nothing if there is none. */
  cancelReservation(writer: Reserver): void {
    this.#reservations.delete(writer);
  }

  /** Replaces the pinned blobs, which leave less space for others. */
  setPinned(pinned: PinnedSizes): void {
    this.#reservations.setPinned(pinned);
  }

  async #measureIfOld(): Promise<void> {
    if (this.#clock() - this.#measuredAt > MEASURE_INTERVAL) await this.measure();
  }

  /** Measures the disk, and ends the disk-full state if enough is free again. */
  async measure(): Promise<void> {
    this.#measuredAt = this.#clock();
    const usage = await this.#disk();
    if (!usage) return;
    this.#free = usage.free;
    this.#metadataBytes = usage.metadata ?? 0;
    this.#spaceToRecover = Math.min(SPACE_TO_RECOVER, usage.size / 4);
    this.inodes.measured(usage.inodes);
    const hasSpace = this.#free - this.limits.minFree > this.#spaceToRecover;
    this.fullState.measured(hasSpace && this.inodes.hasRoom);
  }

  #limitFault(bytes: number): Fault {
    return this.#free - bytes < this.limits.minFree ? this.#diskFault() : this.#quotaFault(bytes);
  }

  /** Not a full disk: the limit is configured, and smaller blobs can still be stored. */
  #quotaFault(bytes: number): Fault {
    return overQuota(bytes, this.limits.maxSize, this.#reservations.describe());
  }

  #diskFault(): Fault {
    return this.fullState.markFull(nothingToEvict(Math.max(0, this.#free), this.limits.minFree));
  }

  #fits(bytes: number): boolean {
    const { maxSize, minFree } = this.limits;
    return this.used + bytes <= maxSize && this.#free - bytes >= minFree;
  }
}
