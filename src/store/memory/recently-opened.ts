import type { Digest } from "../../oci/digest.ts";

/** How long a content that was handed out is left alone, at least, in milliseconds. */
const GENERATION_MS = 50;
/** Digests of a generation: about 8 MB of memory for both when full. */
const MAX_DIGESTS = 32_768;

/**
 * What was handed out a moment ago. The file of an answer is opened only when it is sent, and a file
 * that was unlinked before that could not be: one that was unlinked after it is read to its end.
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

  /** Two generations: what is in one of them was given at most twice the time ago. */
  #rotate(): void {
    const age = this.#clock() - this.#rotatedAt;
    if (age < GENERATION_MS) return;
    this.#old = age < 2 * GENERATION_MS ? this.#young : new Set();
    this.#young = new Set();
    this.#rotatedAt = this.#clock();
  }
}
