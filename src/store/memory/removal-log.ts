import type { Digest } from "../../oci/digest.ts";

/** How many removals the log holds at most: about 2 MB of memory. */
const MAX_ENTRIES = 8192;

/**
 * A log of removed blobs with logical timestamps. A cached value that was derived from one blob can
 * tell whether that blob was removed since, while others come and go.
 */
export class RemovalLog {
  readonly #maxEntries: number;
  /** When each digest was removed last; the latest removal comes last. */
  readonly #removals = new Map<Digest, number>();
  /** The time of the latest removal that was dropped from the log. */
  #lastForgotten = 0;
  #now = 0;

  constructor(maxEntries: number = MAX_ENTRIES) {
    this.#maxEntries = maxEntries;
  }

  /** The logical time: the number of removals so far. */
  get now(): number {
    return this.#now;
  }

  /** Records the removal of a blob. */
  add(digest: Digest): void {
    this.#now += 1;
    this.#removals.delete(digest);
    this.#removals.set(digest, this.#now);
    if (this.#removals.size <= this.#maxEntries) return;
    for (const [oldest, time] of this.#removals) {
      this.#removals.delete(oldest);
      this.#lastForgotten = time;
      break;
    }
  }

  /**
   * Whether a blob may have been removed after a logical time. Also `true` if the log no longer
   * reaches back that far.
   */
  since(time: number, digest: Digest): boolean {
    return (this.#removals.get(digest) ?? this.#lastForgotten) > time;
  }
}
