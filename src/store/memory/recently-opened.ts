import type { Digest } from "../../oci/digest.ts";

/** How long a blob counts as recently opened at least, in milliseconds; at most twice as long. */
const GENERATION_MS = 50;
/** How many digests a generation holds at most: about 8 MB of memory for both. */
const MAX_DIGESTS = 32_768;

/**
 * Blobs that were opened a moment ago and must not be evicted yet. The file of a response is opened
 * only when the response is sent, so it must not be unlinked before. After that it may be: an open file
 * stays readable.
 */
export class RecentlyOpened {
  readonly #clock: () => number;
  #young = new Set<Digest>();
  #old = new Set<Digest>();
  #rotatedAt = 0;

  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  add(digest: Digest): void {
    this.#rotate();
    if (this.#young.size < MAX_DIGESTS) this.#young.add(digest);
  }

  has(digest: Digest): boolean {
    this.#rotate();
    return this.#young.has(digest) || this.#old.has(digest);
  }

  /** Starts a new generation when the young one is over; a digest stays for one to two generations. */
  #rotate(): void {
    const age = this.#clock() - this.#rotatedAt;
    if (age < GENERATION_MS) return;
    this.#old = age < 2 * GENERATION_MS ? this.#young : new Set();
    this.#young = new Set();
    this.#rotatedAt = this.#clock();
  }
}
