import { setTimeout } from "node:timers/promises";
import { formatSize } from "../../config/parsing/units.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { DiskUsage } from "./disk-usage.ts";
import { DiskFullState, type DiskFullOptions } from "./disk-full-state.ts";

/** How much may be kept, in bytes. */
export interface DiskLimits {
  /** Contents, beginnings of contents, and what is kept beside them. */
  readonly maxSize: number;
  /** What stays free on the disk, whoever fills it. */
  readonly minFree: number;
}

/** What eviction must not touch. */
export interface PinnedSizes {
  readonly sizes: ReadonlyMap<Digest, number>;
  /** Of all of it together. */
  readonly bytes: number;
}

export interface DiskBudgetOptions {
  readonly limits: DiskLimits;
  readonly disk: () => Promise<DiskUsage>;
  readonly onChange?: DiskFullOptions["onChange"];
  /** In milliseconds, on a clock that never goes back. */
  readonly clock?: () => number;
  /** How long who needs room waits for it, in milliseconds. */
  readonly timeout?: number;
}

/**
 * How long a content waits for eviction before it is passed on without being stored, in
 * milliseconds. A store that was given a much lower bound has minutes of eviction before it.
 */
const EVICTION_TIMEOUT = 2000;

/** How long a measurement of the disk's free space is believed, in milliseconds. */
const MEASURE_INTERVAL = 500;
/** How long nothing is evicted ahead after there was nothing that may go, in milliseconds. */
const EVICTION_BACK_OFF = 1000;
/** What has to be free again before a full disk is believed to be so no more: this, or a quarter of it. */
const SPACE_TO_RECOVER = 256 * 1024 * 1024;
/** Where nobody waits, an eviction leaves others this part of the time at least. */
const MIN_SLACK = 0.5;
/** Part of the bound that is left after an eviction, and the part at which the next one begins. */
export const LOW_WATER = 0.95;
const HIGH_WATER = 0.98;

/**
 * How much is stored, and whether more may be. Whoever writes takes room first: the bound then
 * holds at every moment, and not only after the next clean-up.
 */
export class DiskBudget {
  readonly limits: DiskLimits;
  readonly fullState: DiskFullState;
  readonly #disk: () => Promise<DiskUsage>;
  readonly #clock: () => number;
  readonly #timeout: number;
  #blobBytes = 0;
  #churn = 0;
  #partialBytes = 0;
  #pinned: PinnedSizes = { sizes: new Map(), bytes: 0 };
  /** Sizes of contents on their way in. As many as are filled at once. */
  readonly #reservations = new Map<Digest, number>();
  #metadataBytes = 0;
  /** Free on the disk when it was last measured, less what was taken since. */
  #free = Infinity;
  #measuredAt = -Infinity;
  #evict: () => Promise<number> = async () => 0;
  /** Until then, nothing would go that may. */
  #backOffUntil = -Infinity;
  /** What those wait for who wait for room. */
  #waitingBytes = 0;
  /** Resolves once somebody has given room. */
  #released = Promise.withResolvers<void>();

  constructor(options: DiskBudgetOptions) {
    this.limits = options.limits;
    this.#disk = options.disk;
    this.#clock = options.clock ?? (() => performance.now());
    const { onChange = () => {} } = options;
    this.fullState = new DiskFullState({ onChange, clock: this.#clock });
    this.#timeout = options.timeout ?? EVICTION_TIMEOUT;
  }

  /** Bytes of complete contents. */
  get blobBytes(): number {
    return this.#blobBytes;
  }

  /** Bytes of contents that came or went since the start: a count meanwhile may be wrong by these. */
  get churn(): number {
    return this.#churn;
  }

  /** Bytes of contents on their way in, and of beginnings that are kept for later. */
  get partialBytes(): number {
    return this.#partialBytes;
  }

  /** Bytes of facts and the index, when they were last measured. */
  get metadataBytes(): number {
    return this.#metadataBytes;
  }

  get used(): number {
    return this.#blobBytes + this.#partialBytes + this.#metadataBytes;
  }

  /** Bytes that have to go until eviction may rest; 0 or less where nothing has to. */
  excess(): number {
    const { maxSize, minFree } = this.limits;
    // A little more than what is wanted free, so that it does not begin again at once.
    const wanted = minFree === 0 ? 0 : minFree + (1 - LOW_WATER) * Math.min(maxSize, minFree);
    return Math.max(
      this.used - LOW_WATER * maxSize,
      this.used + this.#waitingBytes - maxSize,
      wanted - this.#free,
      minFree + this.#waitingBytes - this.#free,
    );
  }

  /** Whether it is time to evict, which is before anybody has to wait for it. */
  isTight(): boolean {
    const { maxSize, minFree } = this.limits;
    return this.used > HIGH_WATER * maxSize || this.#free < minFree;
  }

  /** How much of the time until somebody has to wait for eviction is left: from 1 down to 0.5; 0 where somebody does. */
  slack(): number {
    if (this.#waitingBytes > 0) return 0;
    const { maxSize, minFree } = this.limits;
    const inBound = (maxSize - this.used) / ((1 - HIGH_WATER) * maxSize);
    const onDisk = (this.#free - minFree) / ((1 - LOW_WATER) * Math.min(maxSize, minFree));
    return Math.max(MIN_SLACK, Math.min(1, inBound, minFree === 0 ? 1 : onDisk));
  }

  /** Who makes room, and tells how many bytes went; it is asked again while it brings any. */
  setEvictor(evict: () => Promise<number>): void {
    this.#evict = evict;
  }

  /**
   * Complete contents as somebody has counted them, in place of what was added up.
   *
   * @param doubt bytes by which the count may be wrong: what was added up stays as far as it explains it
   */
  recount(held: number, doubt = 0): void {
    this.#blobBytes = Math.min(held + doubt, Math.max(held - doubt, this.#blobBytes));
  }

  changeBlobBytes(bytes: number): void {
    this.#blobBytes = Math.max(0, this.#blobBytes + bytes);
    this.#churn += Math.abs(bytes);
    if (bytes >= 0) return;
    this.#free -= bytes;
    this.#wakeWaiting();
  }

  /** A content became complete: what a draft took is now held. */
  commit(bytes: number): void {
    this.#partialBytes -= bytes;
    this.#blobBytes += bytes;
    this.#churn += bytes;
  }

  release(bytes: number): void {
    this.#partialBytes -= bytes;
    this.#free += bytes;
    this.#wakeWaiting();
  }

  /** Counts a beginning that is on the disk already. */
  accountPartial(bytes: number): void {
    this.#partialBytes += bytes;
  }

  /**
   * Takes room for bytes that are about to be written, and waits for eviction where there is none.
   *
   * @throws Fault of kind `storage` where eviction cannot make enough, or not soon
   */
  async claim(bytes: number): Promise<void> {
    if (this.#clock() - this.#measuredAt > MEASURE_INTERVAL) await this.measure();
    if (this.#fits(bytes)) this.#charge(bytes);
    else await this.#claimAfterEviction(bytes);
    if (this.isTight() && this.#clock() >= this.#backOffUntil) void this.#evictAhead();
  }

  async #evictAhead(): Promise<void> {
    const freed = await this.#evict().catch(() => 0);
    // Where nearly all is pinned, all of it would be looked through for each piece that comes.
    if (freed === 0) this.#backOffUntil = this.#clock() + EVICTION_BACK_OFF;
  }

  #charge(bytes: number): void {
    this.#partialBytes += bytes;
    this.#free -= bytes;
  }

  /** Claims it in the turn in which it is there: the next who waits may be told of the same room. */
  async #claimAfterEviction(bytes: number): Promise<void> {
    const over = new AbortController();
    const { signal } = over;
    const late = setTimeout(this.#timeout, "late", { signal }).catch(() => "over");
    this.#waitingBytes += bytes;
    try {
      for (;;) {
        // Who needs a little room does not wait until eviction has made all that it is to make.
        const freed = await Promise.race([this.#evict(), this.#released.promise, late]);
        if (this.#fits(bytes)) return this.#charge(bytes);
        if (freed === 0) throw this.#limitFault(bytes);
        if (freed === "late") throw this.#timeoutFault(bytes);
      }
    } finally {
      this.#waitingBytes -= bytes;
      over.abort();
    }
  }

  #timeoutFault(bytes: number): Fault {
    const reason = `in ${this.#timeout / 1000} s, eviction made no room for ${formatSize(bytes)}; it goes on`;
    return new Fault({ kind: "no-space", reason });
  }

  #wakeWaiting(): void {
    if (this.#waitingBytes === 0) return;
    this.#released.resolve();
    this.#released = Promise.withResolvers();
  }

  /**
   * Makes sure that there can be room for all of a content, beside what is pinned and what else is
   * on its way in. It is made as the content comes.
   *
   * @throws Fault of kind `storage` where there cannot be, whatever is evicted
   */
  async reserve(digest: Digest, bytes: number): Promise<void> {
    if (this.#clock() - this.#measuredAt > MEASURE_INTERVAL) await this.measure();
    const { maxSize, minFree } = this.limits;
    this.#reservations.delete(digest);
    // What is pinned has its room already.
    let promised = this.#pinned.sizes.has(digest) ? 0 : bytes;
    for (const [other, size] of this.#reservations) {
      if (!this.#pinned.sizes.has(other)) promised += size;
    }
    // Whether some of it is pinned shows when it is to go: not all that is pinned is here.
    if (promised > this.#free + this.used - this.#metadataBytes - minFree) throw this.#diskFault();
    if (promised > maxSize - this.#pinned.bytes - this.#metadataBytes)
      throw this.#limitFault(bytes);
    this.#reservations.set(digest, bytes);
  }

  /** A content is no longer on its way in. */
  cancelReservation(digest: Digest): void {
    this.#reservations.delete(digest);
  }

  setPinned(pins: PinnedSizes): void {
    this.#pinned = pins;
  }

  /** Asks the disk, and finds out by itself that there is room again. */
  async measure(): Promise<void> {
    this.#measuredAt = this.#clock();
    const { free, size, metadata: beside = 0 } = await this.#disk();
    this.#free = free;
    this.#metadataBytes = beside;
    const room = free - this.limits.minFree;
    const isEnough = room > Math.min(SPACE_TO_RECOVER, size / 4);
    if (isEnough) this.fullState.recover();
  }

  #limitFault(bytes: number): Fault {
    if (this.#free - bytes < this.limits.minFree) return this.#diskFault();
    // The bound was set by somebody, and concerns this content alone: smaller ones are still stored.
    const coming = this.#reservations.values().reduce((sum, size) => sum + size, 0);
    const of = [`${formatSize(this.#pinned.bytes)} of it are pinned`];
    if (coming > 0) of.push(`${formatSize(coming)} are for what is on its way in`);
    const reason = `${formatSize(bytes)} do not fit: ${formatSize(this.limits.maxSize)} may be stored, ${of.join(", ")}`;
    return new Fault({ kind: "no-space", reason });
  }

  #diskFault(): Fault {
    const free = formatSize(Math.max(0, this.#free));
    const left = `${free} free, and ${formatSize(this.limits.minFree)} are to stay free`;
    return this.fullState.markFull(`the disk has ${left}; nothing is left to evict`);
  }

  #fits(bytes: number): boolean {
    const { maxSize, minFree } = this.limits;
    return this.used + bytes <= maxSize && this.#free - bytes >= minFree;
  }
}
