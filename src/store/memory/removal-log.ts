import type { Digest } from "../../oci/digest.ts";

/** Contents whose removal is remembered one by one: about 2 MB of memory when full. */
const MAX_ENTRIES = 8192;

/**
 * When contents went, in the order in which they did: so that what was made of one content stays
 * right while others go.
 */
export class RemovalLog {
  readonly #maxEntries: number;
  /** The latest last. */
  readonly #removals = new Map<Digest, number>();
  /** When the latest one went that is not remembered any more. */
  #lastForgotten = 0;
  #now = 0;

  constructor(most: number = MAX_ENTRIES) {
    this.#maxEntries = most;
  }

  /** It grows with every content that goes. */
  get now(): number {
    return this.#now;
  }

  add(digest: Digest): void {
    this.#now += 1;
    this.#removals.delete(digest);
    this.#removals.set(digest, this.#now);
    if (this.#removals.size <= this.#maxEntries) return;
    for (const [oldest, moment] of this.#removals) {
      this.#removals.delete(oldest);
      this.#lastForgotten = moment;
      break;
    }
  }

  /** Whether a content may have gone after a moment; after too many others, it may. */
  since(moment: number, digest: Digest): boolean {
    return (this.#removals.get(digest) ?? this.#lastForgotten) > moment;
  }
}
