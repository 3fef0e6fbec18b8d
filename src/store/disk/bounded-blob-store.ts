import type { Digest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobStore, BlobWriter, ListedBlob, PartialEntry, StoredBlob } from "../blob-store.ts";
import { RecentlyOpened } from "../memory/recently-opened.ts";
import { UnreadableBlobs } from "../memory/unreadable-blobs.ts";
import { partialName, type PartialName } from "../partial-name.ts";
import type { DiskBudget } from "../space/disk-budget.ts";
import { BoundedBlobWriter } from "./bounded-blob-writer.ts";

/**
 * A `BlobStore` with a quota: it claims disk space from a `DiskBudget` before it writes to the store
 * below, and releases it afterwards. While the disk is full, it refuses to write. A blob that cannot be
 * read counts as missing, and is replaced when it was fetched again.
 */
export class BoundedBlobStore implements BlobStore {
  /** Blobs whose file may be about to be opened, which must not be evicted. */
  readonly recentlyOpened = new RecentlyOpened();
  readonly unreadable: UnreadableBlobs;
  /**
   * What a blob took or freed is known by its record only: it was stored where the disk would not tell what is
   * there, or its file was gone when it was removed. To be reset by who counts the records.
   */
  mustRecount = false;
  readonly #store: BlobStore;
  readonly #budget: DiskBudget;
  readonly #assertWritable: () => void;
  /** Suspended partial downloads, as accounted for. As many entries as there are such files. */
  readonly #partials = new Map<PartialName, Suspended>();
  #hasListed = false;

  /** @param assertWritable called before anything is written or removed: throws a Fault where that must not be done */
  constructor(
    store: BlobStore,
    budget: DiskBudget,
    unreadable = new UnreadableBlobs(),
    assertWritable = (): void => {},
  ) {
    this.#store = store;
    this.#budget = budget;
    this.unreadable = unreadable;
    this.#assertWritable = assertWritable;
  }

  async open(digest: Digest, shouldRecheck?: boolean): Promise<StoredBlob | undefined> {
    this.recentlyOpened.add(digest);
    if (this.unreadable.has(digest)) return undefined;
    try {
      return await this.#store.open(digest, shouldRecheck);
    } catch (error) {
      if (error instanceof Fault && this.readFailed(digest, error.cause)) return undefined;
      throw error;
    }
  }

  readFailed(digest: Digest, cause: unknown, at?: number): boolean {
    this.#store.readFailed(digest, cause, at);
    return this.unreadable.readFailed(digest, cause, at);
  }

  async writer(digest: Digest, owner = ""): Promise<BlobWriter> {
    if (!this.#budget.fullState.shouldRetry()) {
      throw new Fault({
        kind: "no-space",
        reason: "the disk was full a moment ago, and is not retried yet",
      });
    }
    await this.#budget.claimInodes();
    try {
      this.#assertWritable();
      const writer = await this.#store.writer(digest, owner);
      const name = partialName(digest, owner);
      const accounted = this.#partials.get(name)?.bytes ?? 0;
      this.#partials.delete(name);
      // The partial file may be shorter than was accounted for, or not have been accounted for at all.
      this.#budget.accountPartial(this.#budget.spaceOf(writer.written) - accounted);
      return new BoundedBlobWriter(writer, this.#budget, {
        suspended: (bytes) => this.#partials.set(name, { bytes }),
        replaces: () => {
          const isReplaced = this.unreadable.delete(digest);
          this.mustRecount ||= isReplaced;
          return isReplaced;
        },
      });
    } catch (error) {
      this.#budget.inodes.release();
      this.#budget.fullState.recordFailure(error);
      throw error;
    }
  }

  async remove(digest: Digest): Promise<boolean> {
    this.#assertWritable();
    const wasStored = await this.#store.remove(digest);
    this.mustRecount ||= !wasStored;
    this.unreadable.delete(digest);
    return wasStored;
  }

  async quarantine(digest: Digest): Promise<boolean> {
    this.#assertWritable();
    const wasStored = await this.#store.quarantine(digest);
    this.mustRecount ||= !wasStored;
    this.unreadable.delete(digest);
    return wasStored;
  }

  entries(): AsyncIterable<ListedBlob> {
    return this.#store.entries();
  }

  /**
   * Lists the partial downloads. The first call that reaches its end, and should come before the first writer,
   * accounts for those that an earlier process left. Each that is read to its end gives back the space of those that
   * somebody else removed.
   */
  async *partials(): AsyncGenerator<PartialEntry> {
    const isFirst = !this.#hasListed;
    const unlisted = new Map(this.#partials);
    for await (const entry of this.#store.partials()) {
      unlisted.delete(entry.name);
      // In a later call, an unknown one was resumed since the listing read its file name.
      if (isFirst && !this.#partials.has(entry.name)) {
        const space = this.#budget.spaceOf(entry.size);
        this.#partials.set(entry.name, { bytes: space });
        this.#budget.accountPartial(space);
      }
      yield entry;
    }
    this.#hasListed = true;
    for (const [name, suspended] of unlisted) {
      // One that is another by now was resumed meanwhile, and so may not have been listed.
      if (this.#partials.get(name) === suspended) await this.removePartial(name);
    }
  }

  async removePartial(name: PartialName): Promise<boolean> {
    this.#assertWritable();
    const isGone = await this.#store.removePartial(name);
    const accounted = this.#partials.get(name);
    if (isGone && accounted !== undefined) {
      this.#partials.delete(name);
      this.#budget.release(accounted.bytes);
    }
    return isGone;
  }
}

/** A partial download that nobody writes, and what it takes on the disk. */
interface Suspended {
  readonly bytes: number;
}
