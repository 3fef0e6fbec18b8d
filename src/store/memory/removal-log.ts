import type { Digest } from "../../oci/digest.ts";

/** Contents whose removal is remembered one by one: about 2 MB of memory when full. */
const REMEMBERED = 8192;

/**
 * When contents went, in the order in which they did: so that what was made of one content stays
 * right while others go.
 */
export class RemovalLog {
  readonly #most: number;
  /** The latest last. */
  readonly #moments = new Map<Digest, number>();
  /** When the latest one went that is not remembered any more. */
  #forgotten = 0;
  #now = 0;

  constructor(most: number = REMEMBERED) {
    this.#most = most;
  }

  /** It grows with every content that goes. */
  get now(): number {
    return this.#now;
  }

  add(digest: Digest): void {
    this.#now += 1;
    this.#moments.delete(digest);
    this.#moments.set(digest, this.#now);
    if (this.#moments.size <= this.#most) return;
    for (const [oldest, moment] of this.#moments) {
      this.#moments.delete(oldest);
      this.#forgotten = moment;
      break;
    }
  }

  /** Whether a content may have gone after a moment; after too many others, it may. */
  since(moment: number, digest: Digest): boolean {
    return (this.#moments.get(digest) ?? this.#forgotten) > moment;
  }
}
