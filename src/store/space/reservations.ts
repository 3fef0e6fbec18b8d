import { formatSize } from "../../config/parsing/units.ts";
import type { Digest } from "../../oci/digest.ts";

/** Pinned blobs, which are never evicted. */
export interface PinnedSizes {
  has(digest: Digest): boolean;
  /** The sum of all their sizes. */
  readonly bytes: number;
}

/** A writer that has announced the size of its blob. */
export interface Reserver {
  readonly digest: Digest;
}

/** The space that is spoken for: by pinned blobs, and by the sizes of downloads in progress. */
export class Reservations {
  /** As many entries as there are concurrent downloads. */
  readonly #sizes = new Map<Reserver, number>();
  /** The sum of those that are not pinned: thousands of downloads may each ask for it. */
  #unpinned = 0;
  #total = 0;
  #pinned: PinnedSizes = { has: () => false, bytes: 0 };

  get pinnedBytes(): number {
    return this.#pinned.bytes;
  }

  /** All of them, in bytes. */
  get total(): number {
    return this.#total;
  }

  setPinned(pinned: PinnedSizes): void {
    this.#pinned = pinned;
    this.#unpinned = 0;
    for (const [{ digest }, size] of this.#sizes) {
      if (!this.#isPinned(digest)) this.#unpinned += size;
    }
  }

  set(writer: Reserver, bytes: number): void {
    this.delete(writer);
    this.#sizes.set(writer, bytes);
    this.#total += bytes;
    if (!this.#isPinned(writer.digest)) this.#unpinned += bytes;
  }

  delete(writer: Reserver): void {
    const size = this.#sizes.get(writer) ?? 0;
    if (!this.#isPinned(writer.digest)) this.#unpinned -= size;
    this.#total -= size;
    this.#sizes.delete(writer);
  }

  /** Bytes of all reservations and of one more blob, less those of pinned blobs, counted as pinned. */
  unpinnedBytesWith({ digest }: Reserver, bytes: number): number {
    return this.#unpinned + (this.#isPinned(digest) ? 0 : bytes);
  }

  #isPinned(digest: Digest): boolean {
    return this.#pinned.has(digest);
  }

  /** For messages: how much is pinned, and reserved. */
  describe(): string {
    const reserved = this.#total;
    const pinned = `${formatSize(this.#pinned.bytes)} is pinned`;
    if (reserved === 0) return pinned;
    return `${pinned} and ${formatSize(reserved)} is reserved for downloads in progress`;
  }
}
