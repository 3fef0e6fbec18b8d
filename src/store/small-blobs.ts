import { LRUCache } from "lru-cache";
import { type Digest, digestAlgorithm, digestOf } from "../oci/digest.ts";
import type { BlobEntry, BlobStore, Draft, StoredBlob } from "./blobs.ts";
import { Removals } from "./removals.ts";

/** Above it the kernel's way from file to socket costs less than a copy through here. */
const LARGEST = 64 * 1024;

/** In bytes, for all of them together. */
const MEMORY = 24 * 1024 * 1024;

/** What one costs besides its bytes. */
const OVERHEAD = 512;

/**
 * Small contents in memory, in front of a store where opening a file takes longer than sending it.
 * They are verified as they are read, so that a file that has rotted is never served from here.
 */
export class SmallBlobs implements BlobStore {
  readonly #store: BlobStore;
  readonly #memory: LRUCache<Digest, StoredBlob>;
  readonly removals = new Removals();

  constructor(store: BlobStore, memory: number = MEMORY) {
    this.#store = store;
    this.#memory = new LRUCache({
      maxSize: memory,
      sizeCalculation: ({ size }) => size + OVERHEAD,
    });
  }

  async open(digest: Digest, isAnew = false): Promise<StoredBlob | undefined> {
    const known = isAnew ? undefined : this.#memory.get(digest);
    if (known) return known;
    const { now } = this.removals;
    const stored = await this.#store.open(digest, isAnew);
    if (!stored || stored.size > LARGEST) return stored;
    const bytes = await stored.bytes.bytes().catch(() => undefined);
    if (!bytes) return stored;
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      // Nobody could use it; once it is gone, it is fetched anew.
      await this.remove(digest);
      return undefined;
    }
    const { size } = stored;
    const small = { digest, size, bytes: new Blob([bytes]), isInMemory: true };
    // A removal that overtook the reading would otherwise be undone by it.
    if (!this.removals.since(now, digest)) this.#memory.set(digest, small);
    return small;
  }

  draft(digest: Digest): Promise<Draft> {
    return this.#store.draft(digest);
  }

  async remove(digest: Digest): Promise<boolean> {
    try {
      return await this.#store.remove(digest);
    } finally {
      this.drop(digest);
    }
  }

  /** The content is gone from the store below, by whatever way. */
  drop(digest: Digest): void {
    this.removals.add(digest);
    this.#memory.delete(digest);
  }

  async setAside(digest: Digest): Promise<boolean> {
    try {
      return await this.#store.setAside(digest);
    } finally {
      this.drop(digest);
    }
  }

  kept(): AsyncIterable<BlobEntry> {
    return this.#store.kept();
  }

  forget(digest: Digest): Promise<boolean> {
    return this.#store.forget(digest);
  }

  entries(): AsyncIterable<BlobEntry> {
    return this.#store.entries();
  }
}
