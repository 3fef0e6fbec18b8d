import { formatSize } from "../../config/parsing/units.ts";
import type { Digest } from "../../oci/digest.ts";

/** Pinned blobs, which are never evicted. Sizes are in bytes. */
export interface PinnedSizes {
  readonly sizes: ReadonlyMap<Digest, number>;
  /** The sum of all sizes. */
  readonly bytes: number;
}

/** The space that is spoken for: by pinned blobs, and by the sizes of downloads in progress. */
export class Reservations {
  /** As many entries as there are concurrent downloads. */
  readonly #sizes = new Map<Digest, number>();
  #pinned: PinnedSizes = { sizes: new Map(), bytes: 0 };

  get pinnedBytes(): number {
    return this.#pinned.bytes;
  }

  setPinned(pinned: PinnedSizes): void {
    this.#pinned = pinned;
  }

  set(digest: Digest, bytes: number): void {
    this.#sizes.set(digest, bytes);
  }

  delete(digest: Digest): void {
    this.#sizes.delete(digest);
  }

  /** Bytes of all reservations and of one more blob, less those of pinned blobs, counted as pinned. */
  unpinnedBytesWith(digest: Digest, bytes: number): number {
    let sum = this.#pinned.sizes.has(digest) ? 0 : bytes;
    for (const [other, size] of this.#sizes) if (!this.#pinned.sizes.has(other)) sum += size;
    return sum;
  }

  /** For messages: how much is pinned, and reserved. */
  describe(): string {
    const reserved = this.#sizes.values().reduce((sum, size) => sum + size, 0);
    const pinned = `${formatSize(this.#pinned.bytes)} is pinned`;
    if (reserved === 0) return pinned;
    return `${pinned} and ${formatSize(reserved)} is reserved for downloads in progress`;
  }
}
