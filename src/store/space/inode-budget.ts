import { setTimeout } from "node:timers/promises";
import type { Inodes } from "./disk-usage.ts";

/** What a blob takes at most: its file, its sidecar file, and a folder for each. */
const INODES_PER_BLOB = 4;
/** Other files, such as those that take the place of another. */
const UNCOUNTED = 8;
/** What evicting a blob frees at least, in the long run: its file and its sidecar file. */
export const FREED_PER_BLOB = 2;

/** The part of all inodes that stays free for downloads in progress, and what it is at least and at most. */
const RESERVED = 0.05;
const MIN_RESERVED = 32;
const MAX_RESERVED = 10_000;
/** Eviction goes on until this many times the reserve is free, so that the next does not begin at once. */
const LOW_WATER = 1.5;

/** After this many evicted blobs, it is known whether that frees inodes. */
const ENOUGH_EVICTED = 32;
/** How long no blob is evicted for its inodes after that has freed hardly any, in milliseconds. */
const IN_VAIN_PAUSE = 600_000;

/** Fewer inodes than should be free. */
export interface FewInodes extends Inodes {
  /** Whether evicting blobs has freed hardly any, so that it does not go on for their sake. */
  readonly isEvictionInVain: boolean;
}

/**
 * The inodes of the file system that holds the store, as far as it counts any. They are shared with
 * whatever else is stored there, and what is free is only an estimate between two measurements: it
 * says when to evict, and nothing is refused because of it.
 */
export class InodeBudget {
  readonly #clock: () => number;
  readonly #onFew: (found: FewInodes) => void;
  /** As measured. */
  #inodes: Inodes | undefined;
  /** Free when last measured, less what was claimed since, or claimed before and perhaps not taken yet. */
  #free = Infinity;
  /** Blobs that are being written. */
  #writing = 0;
  #waiting = 0;
  #inVainUntil = -Infinity;
  /** Whether blobs were evicted for their inodes since the last measurement. */
  #hasEvicted = false;
  /** Since when it is watched whether eviction helps: free then, evicted and claimed since. */
  #watched: { readonly free: number; evicted: number; claimed: number } | undefined;

  /**
   * @param clock monotonic, in milliseconds
   * @param onFew called at each measurement that finds few free inodes, or after eviction for them
   */
  constructor(clock: () => number, onFew: (found: FewInodes) => void) {
    this.#clock = clock;
    this.#onFew = onFew;
  }

  /** Of the file system; `undefined` where it does not limit them. */
  get current(): Inodes | undefined {
    return this.#inodes;
  }

  get #reserved(): number {
    const share = Math.ceil(RESERVED * (this.#inodes?.total ?? 0));
    return Math.min(MAX_RESERVED, Math.max(MIN_RESERVED, share));
  }

  get #isInVain(): boolean {
    return this.#clock() < this.#inVainUntil;
  }

  /** How many eviction has to free until it may stop; 0 or less if there is nothing to do. */
  get shortage(): number {
    return this.#isInVain ? 0 : LOW_WATER * this.#reserved - this.#free;
  }

  /** Whether eviction should begin, which is before a blob has to wait for it. */
  get isTight(): boolean {
    return this.#free < this.#reserved && !this.#isInVain;
  }

  /** Whether there are enough for one more blob, and for what was not counted. */
  get hasRoom(): boolean {
    return this.#free >= INODES_PER_BLOB + UNCOUNTED;
  }

  get isWaiting(): boolean {
    return this.#waiting > 0;
  }

  measured(inodes: Inodes | undefined): void {
    this.#inodes = inodes;
    const free = inodes?.free ?? Infinity;
    this.#free = free - this.#writing * INODES_PER_BLOB;
    this.#watchEviction(free);
    if (inodes && (free < this.#reserved || this.#hasEvicted)) {
      this.#onFew({ ...inodes, isEvictionInVain: this.#isInVain });
    }
    this.#hasEvicted = false;
  }

  #watchEviction(free: number): void {
    const watched = this.#watched;
    if (!watched || watched.evicted < ENOUGH_EVICTED) return;
    const gained = free - watched.free + watched.claimed;
    if (gained < watched.evicted / 4) this.#inVainUntil = this.#clock() + IN_VAIN_PAUSE;
    this.#watched = undefined;
  }

  /**
   * Counts a blob that is about to be written. Where there is no room, it waits until `evict` resolves
   * to 0 or a time is over, in milliseconds. `release` follows when the writer has ended.
   */
  async claim(evict: () => Promise<number>, timeout: number): Promise<void> {
    if (!this.hasRoom) await this.#waitForRoom(evict, timeout);
    this.#writing += 1;
    this.#free -= INODES_PER_BLOB;
    if (this.#watched) this.#watched.claimed += INODES_PER_BLOB;
  }

  release(): void {
    this.#writing -= 1;
  }

  /** Counts blobs that were evicted while inodes were short. */
  evicted(blobs: number): void {
    this.#watched ??= { free: this.#inodes?.free ?? Infinity, evicted: 0, claimed: 0 };
    this.#watched.evicted += blobs;
    this.#hasEvicted = true;
  }

  async #waitForRoom(evict: () => Promise<number>, timeout: number): Promise<void> {
    const done = new AbortController();
    const isOver = setTimeout(timeout, 0, { signal: done.signal }).catch(() => 0);
    this.#waiting += 1;
    try {
      while (!this.hasRoom) {
        const freed = await Promise.race([evict().catch(() => 0), isOver]);
        if (freed === 0) return;
      }
    } finally {
      this.#waiting -= 1;
      done.abort();
    }
  }
}
