import { setTimeout } from "node:timers/promises";
import { formatSize } from "../../config/parsing/units.ts";
import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { DiskUsage } from "./disk-usage.ts";
import { DiskFullState, type DiskFullOptions } from "./disk-full-state.ts";

/** How much may be kept, in bytes. */
export interface Bound {
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
  readonly bound: Bound;
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
const PATIENCE = 2000;

/** How long a measurement of the disk's free space is believed, in milliseconds. */
const MEASURE_EVERY = 500;
/** How long nothing is evicted ahead after there was nothing that may go, in milliseconds. */
const VAIN_FOR = 1000;
/** What has to be free again before a full disk is believed to be so no more: this, or a quarter of it. */
const ROOM_TO_RECOVER = 256 * 1024 * 1024;
/** Where nobody waits, an eviction leaves others this part of the time at least. */
const LEAST_LEISURE = 0.5;
/** Part of the bound that is left after an eviction, and the part at which the next one begins. */
export const LOW_WATER = 0.95;
const HIGH_WATER = 0.98;

/**
 * How much is stored, and whether more may be. Whoever writes takes room first: the bound then
 * holds at every moment, and not only after the next clean-up.
 */
export class DiskBudget {
  readonly bound: Bound;
  readonly fullState: DiskFullState;
  readonly #disk: () => Promise<DiskUsage>;
  readonly #clock: () => number;
  readonly #patience: number;
  #held = 0;
  #moved = 0;
  #drafts = 0;
  #pinned: PinnedSizes = { sizes: new Map(), bytes: 0 };
  /** Sizes of contents on their way in. As many as are filled at once. */
  readonly #promised = new Map<Digest, number>();
  #beside = 0;
  /** Free on the disk when it was last measured, less what was taken since. */
  #free = Infinity;
  #measuredAt = -Infinity;
  #evict: () => Promise<number> = async () => 0;
  /** Until then, nothing would go that may. */
  #vainUntil = -Infinity;
  /** What those wait for who wait for room. */
  #waiting = 0;
  /** Resolves once somebody has given room. */
  #given = Promise.withResolvers<void>();

  constructor(options: DiskBudgetOptions) {
    this.bound = options.bound;
    this.#disk = options.disk;
    this.#clock = options.clock ?? (() => performance.now());
    const { onChange = () => {} } = options;
    this.fullState = new DiskFullState({ onChange, clock: this.#clock });
    this.#patience = options.timeout ?? PATIENCE;
  }

  /** Bytes of complete contents. */
  get blobBytes(): number {
    return this.#held;
  }

  /** Bytes of contents that came or went since the start: a count meanwhile may be wrong by these. */
  get churn(): number {
    return this.#moved;
  }

  /** Bytes of contents on their way in, and of beginnings that are kept for later. */
  get partialBytes(): number {
    return this.#drafts;
  }

  /** Bytes of facts and the index, when they were last measured. */
  get metadataBytes(): number {
    return this.#beside;
  }

  get used(): number {
    return this.#held + this.#drafts + this.#beside;
  }

  /** Bytes that have to go until eviction may rest; 0 or less where nothing has to. */
  excess(): number {
    const { maxSize, minFree } = this.bound;
    // A little more than what is wanted free, so that it does not begin again at once.
    const wanted = minFree === 0 ? 0 : minFree + (1 - LOW_WATER) * Math.min(maxSize, minFree);
    return Math.max(
      this.used - LOW_WATER * maxSize,
      this.used + this.#waiting - maxSize,
      wanted - this.#free,
      minFree + this.#waiting - this.#free,
    );
  }

  /** Whether it is time to evict, which is before anybody has to wait for it. */
  isTight(): boolean {
    const { maxSize, minFree } = this.bound;
    return this.used > HIGH_WATER * maxSize || this.#free < minFree;
  }

  /** How much of the time until somebody has to wait for eviction is left: from 1 down to 0.5; 0 where somebody does. */
  slack(): number {
    if (this.#waiting > 0) return 0;
    const { maxSize, minFree } = this.bound;
    const inBound = (maxSize - this.used) / ((1 - HIGH_WATER) * maxSize);
    const onDisk = (this.#free - minFree) / ((1 - LOW_WATER) * Math.min(maxSize, minFree));
    return Math.max(LEAST_LEISURE, Math.min(1, inBound, minFree === 0 ? 1 : onDisk));
  }

  /** Who makes room, and tells how many bytes went; it is asked again while it brings any. */
  evictBy(evict: () => Promise<number>): void {
    this.#evict = evict;
  }

  /**
   * Complete contents as somebody has counted them, in place of what was added up.
   *
   * @param doubt bytes by which the count may be wrong: what was added up stays as far as it explains it
   */
  recount(held: number, doubt = 0): void {
    this.#held = Math.min(held + doubt, Math.max(held - doubt, this.#held));
  }

  changeBlobBytes(bytes: number): void {
    this.#held = Math.max(0, this.#held + bytes);
    this.#moved += Math.abs(bytes);
    if (bytes >= 0) return;
    this.#free -= bytes;
    this.#tellWaiting();
  }

  /** A content became complete: what a draft took is now held. */
  completed(bytes: number): void {
    this.#drafts -= bytes;
    this.#held += bytes;
    this.#moved += bytes;
  }

  giveBack(bytes: number): void {
    this.#drafts -= bytes;
    this.#free += bytes;
    this.#tellWaiting();
  }

  /** Counts a beginning that is on the disk already. */
  account(bytes: number): void {
    this.#drafts += bytes;
  }

  /**
   * Takes room for bytes that are about to be written, and waits for eviction where there is none.
   *
   * @throws Fault of kind `storage` where eviction cannot make enough, or not soon
   */
  async take(bytes: number): Promise<void> {
    if (this.#clock() - this.#measuredAt > MEASURE_EVERY) await this.measure();
    if (this.#fits(bytes)) this.#claim(bytes);
    else await this.#wait(bytes);
    if (this.isTight() && this.#clock() >= this.#vainUntil) void this.#evictAhead();
  }

  async #evictAhead(): Promise<void> {
    const freed = await this.#evict().catch(() => 0);
    // Where nearly all is pinned, all of it would be looked through for each piece that comes.
    if (freed === 0) this.#vainUntil = this.#clock() + VAIN_FOR;
  }

  #claim(bytes: number): void {
    this.#drafts += bytes;
    this.#free -= bytes;
  }

  /** Claims it in the turn in which it is there: the next who waits may be told of the same room. */
  async #wait(bytes: number): Promise<void> {
    const over = new AbortController();
    const { signal } = over;
    const late = setTimeout(this.#patience, "late", { signal }).catch(() => "over");
    this.#waiting += bytes;
    try {
      for (;;) {
        // Who needs a little room does not wait until eviction has made all that it is to make.
        const freed = await Promise.race([this.#evict(), this.#given.promise, late]);
        if (this.#fits(bytes)) return this.#claim(bytes);
        if (freed === 0) throw this.#refusal(bytes);
        if (freed === "late") throw this.#impatience(bytes);
      }
    } finally {
      this.#waiting -= bytes;
      over.abort();
    }
  }

  #impatience(bytes: number): Fault {
    const reason = `in ${this.#patience / 1000} s, eviction made no room for ${formatSize(bytes)}; it goes on`;
    return new Fault({ kind: "no-space", reason });
  }

  #tellWaiting(): void {
    if (this.#waiting === 0) return;
    this.#given.resolve();
    this.#given = Promise.withResolvers();
  }

  /**
   * Makes sure that there can be room for all of a content, beside what is pinned and what else is
   * on its way in. It is made as the content comes.
   *
   * @throws Fault of kind `storage` where there cannot be, whatever is evicted
   */
  async reserve(digest: Digest, bytes: number): Promise<void> {
    if (this.#clock() - this.#measuredAt > MEASURE_EVERY) await this.measure();
    const { maxSize, minFree } = this.bound;
    this.#promised.delete(digest);
    // What is pinned has its room already.
    let promised = this.#pinned.sizes.has(digest) ? 0 : bytes;
    for (const [other, size] of this.#promised) {
      if (!this.#pinned.sizes.has(other)) promised += size;
    }
    // Whether some of it is pinned shows when it is to go: not all that is pinned is here.
    if (promised > this.#free + this.used - this.#beside - minFree) throw this.#diskRefusal();
    if (promised > maxSize - this.#pinned.bytes - this.#beside) throw this.#refusal(bytes);
    this.#promised.set(digest, bytes);
  }

  /** A content is no longer on its way in. */
  releaseReservation(digest: Digest): void {
    this.#promised.delete(digest);
  }

  setPinned(pins: PinnedSizes): void {
    this.#pinned = pins;
  }

  /** Asks the disk, and finds out by itself that there is room again. */
  async measure(): Promise<void> {
    this.#measuredAt = this.#clock();
    const { free, size, metadata: beside = 0 } = await this.#disk();
    this.#free = free;
    this.#beside = beside;
    const room = free - this.bound.minFree;
    const isEnough = room > Math.min(ROOM_TO_RECOVER, size / 4);
    if (isEnough) this.fullState.recover();
  }

  #refusal(bytes: number): Fault {
    if (this.#free - bytes < this.bound.minFree) return this.#diskRefusal();
    // The bound was set by somebody, and concerns this content alone: smaller ones are still stored.
    const coming = this.#promised.values().reduce((sum, size) => sum + size, 0);
    const of = [`${formatSize(this.#pinned.bytes)} of it are pinned`];
    if (coming > 0) of.push(`${formatSize(coming)} are for what is on its way in`);
    const reason = `${formatSize(bytes)} do not fit: ${formatSize(this.bound.maxSize)} may be stored, ${of.join(", ")}`;
    return new Fault({ kind: "no-space", reason });
  }

  #diskRefusal(): Fault {
    const free = formatSize(Math.max(0, this.#free));
    const left = `${free} free, and ${formatSize(this.bound.minFree)} are to stay free`;
    return this.fullState.markFull(`the disk has ${left}; nothing is left to evict`);
  }

  #fits(bytes: number): boolean {
    const { maxSize, minFree } = this.bound;
    return this.used + bytes <= maxSize && this.#free - bytes >= minFree;
  }
}
