import { LRUCache } from "lru-cache";
import { type Digest, digestAlgorithm, digestOf } from "../../oci/digest.ts";
import type { BlobEntry, BlobStore, BlobWriter, StoredBlob } from "../blob-store.ts";
import { RemovalLog } from "./removal-log.ts";

/** Above it the kernel's way from file to socket costs less than a copy through here. */
const MAX_BLOB_BYTES = 64 * 1024;

/** In bytes, for all of them together. */
const CACHE_BYTES = 24 * 1024 * 1024;

/** What one costs besides its bytes. */
const ENTRY_OVERHEAD = 512;

export interface SmallBlobCacheOptions {
  /** In bytes. */
  readonly memory?: number;
  /** Takes a corrupt content out of sight, and never rejects; else the store below does. */
  readonly quarantine?: (digest: Digest) => Promise<void>;
}

/**
 * Small contents in memory, in front of a store where opening a file takes longer than sending it.
 * They are verified as they are read, so that a file that has rotted is never served from here.
 */
export class SmallBlobCache implements BlobStore {
  readonly #store: BlobStore;
  readonly #cache: LRUCache<Digest, StoredBlob>;
  readonly #quarantine: (digest: Digest) => Promise<unknown>;
  /** Corrupt contents that are on their way out of sight. At most as many as are read at once. */
  readonly #quarantining = new Map<Digest, Promise<unknown>>();
  readonly removals = new RemovalLog();

  constructor(
    store: BlobStore,
    { memory = CACHE_BYTES, quarantine: setAside }: SmallBlobCacheOptions = {},
  ) {
    this.#store = store;
    this.#quarantine = setAside ?? ((digest) => this.quarantine(digest));
    this.#cache = new LRUCache({
      maxSize: memory,
      sizeCalculation: ({ size }) => size + ENTRY_OVERHEAD,
    });
  }

  async open(digest: Digest, isAnew = false): Promise<StoredBlob | undefined> {
    const known = isAnew ? undefined : this.#cache.get(digest);
    if (known) return known;
    const { now } = this.removals;
    const stored = await this.#store.open(digest, isAnew);
    if (!stored || stored.size > MAX_BLOB_BYTES) return stored;
    const bytes = await stored.bytes.bytes().catch(() => undefined);
    if (!bytes) return stored;
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      // Nobody could use it; once it is gone, it is fetched anew. It may be gone, and here anew.
      if (!this.removals.since(now, digest)) await this.#quarantineOnce(digest);
      return undefined;
    }
    const { size } = stored;
    const small = { digest, size, bytes: new Blob([bytes]), isInMemory: true };
    // A removal that overtook the reading would otherwise be undone by it.
    if (!this.removals.since(now, digest)) this.#cache.set(digest, small);
    return small;
  }

  /** Once for all who have read it: the second would take away what came anew. */
  async #quarantineOnce(digest: Digest): Promise<void> {
    const leaving = this.#quarantining.get(digest) ?? this.#quarantine(digest);
    this.#quarantining.set(digest, leaving);
    try {
      await leaving;
    } finally {
      this.#quarantining.delete(digest);
    }
  }

  writer(digest: Digest): Promise<BlobWriter> {
    return this.#store.writer(digest);
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
    this.#cache.delete(digest);
  }

  async quarantine(digest: Digest): Promise<boolean> {
    try {
      return await this.#store.quarantine(digest);
    } finally {
      this.drop(digest);
    }
  }

  partials(): AsyncIterable<BlobEntry> {
    return this.#store.partials();
  }

  removePartial(digest: Digest): Promise<boolean> {
    return this.#store.removePartial(digest);
  }

  entries(): AsyncIterable<BlobEntry> {
    return this.#store.entries();
  }
}
