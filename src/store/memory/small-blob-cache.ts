import { LRUCache } from "lru-cache";
import { type Digest, digestAlgorithm, digestOf } from "../../oci/digest.ts";
import type { BlobStore, BlobWriter, ListedBlob, PartialEntry, StoredBlob } from "../blob-store.ts";
import type { PartialName } from "../partial-name.ts";
import { systemCode } from "../storage-fault.ts";
import { RemovalLog } from "./removal-log.ts";

/** The largest cached blob, in bytes. For larger ones, the kernel's copy from file to socket is cheaper. */
const MAX_BLOB_BYTES = 64 * 1024;

/** The size of the whole cache, in bytes of memory. */
const CACHE_BYTES = 24 * 1024 * 1024;

/** What an entry takes besides the bytes of its blob, in bytes of memory. */
const ENTRY_OVERHEAD = 512;

export interface SmallBlobCacheOptions {
  /** The size of the cache, in bytes; 24 MiB by default. */
  readonly memory?: number;
  /** Quarantines a corrupt blob, and never rejects; by default, `quarantine` of this store is called. */
  readonly quarantine?: (digest: Digest) => Promise<void>;
  /** Where removals are recorded. */
  readonly removals?: RemovalLog;
}

/**
 * An LRU cache of small blobs in memory, in front of a store in which opening a file takes longer than
 * sending it. A blob is verified when it is read into the cache, so a corrupt file (bit rot) is never
 * served from here.
 */
export class SmallBlobCache implements BlobStore {
  readonly #store: BlobStore;
  readonly #cache: LRUCache<Digest, StoredBlob>;
  readonly #quarantine: (digest: Digest) => Promise<unknown>;
  /** Corrupt blobs that are being quarantined. At most as many entries as there are concurrent reads. */
  readonly #quarantining = new Map<Digest, Promise<unknown>>();
  /** Every blob that was removed from the store below. */
  readonly removals: RemovalLog;

  constructor(store: BlobStore, options: SmallBlobCacheOptions = {}) {
    const { memory = CACHE_BYTES, quarantine, removals = new RemovalLog() } = options;
    this.#store = store;
    this.removals = removals;
    this.#quarantine = quarantine ?? ((digest) => this.quarantine(digest));
    this.#cache = new LRUCache({
      maxSize: memory,
      sizeCalculation: ({ size }) => size + ENTRY_OVERHEAD,
    });
  }

  async open(digest: Digest, shouldRecheck = false): Promise<StoredBlob | undefined> {
    const cached = shouldRecheck ? undefined : this.#cache.get(digest);
    if (cached) return cached;
    const { now } = this.removals;
    const stored = await this.#store.open(digest, shouldRecheck);
    if (!stored || stored.size > MAX_BLOB_BYTES) return stored;
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = await stored.bytes.bytes();
    } catch (cause) {
      const isMissing = this.readFailed(digest, cause) || systemCode(cause) === "ENOENT";
      return isMissing ? undefined : stored;
    }
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      // No client can use it, and once it is gone it is fetched again. If it was removed meanwhile, the
      // stored blob may be a new one already.
      if (!this.removals.since(now, digest)) await this.#quarantineOnce(digest);
      return undefined;
    }
    const { size } = stored;
    const entry = { digest, size, bytes: new Blob([bytes]), isInMemory: true };
    // A removal that happened during the read would otherwise be undone here.
    if (!this.removals.since(now, digest)) this.#cache.set(digest, entry);
    return entry;
  }

  /** Collapses concurrent calls for a blob: a second one would remove the blob that was fetched again. */
  async #quarantineOnce(digest: Digest): Promise<void> {
    const quarantining = this.#quarantining.get(digest) ?? this.#quarantine(digest);
    this.#quarantining.set(digest, quarantining);
    try {
      await quarantining;
    } finally {
      this.#quarantining.delete(digest);
    }
  }

  readFailed(digest: Digest, cause: unknown, at?: number): boolean {
    return this.#store.readFailed(digest, cause, at);
  }

  writer(digest: Digest, owner?: string): Promise<BlobWriter> {
    return this.#store.writer(digest, owner);
  }

  async remove(digest: Digest): Promise<boolean> {
    try {
      return await this.#store.remove(digest);
    } finally {
      this.drop(digest);
    }
  }

  /** Drops a blob from the cache that was removed from the store below, in whatever way. */
  drop(digest: Digest): void {
    this.removals.add(digest);
    this.#cache.delete(digest);
  }

  /** Drops every blob from the cache. */
  clear(): void {
    const digests = [...this.#cache.keys()];
    for (const digest of digests) this.drop(digest);
  }

  async quarantine(digest: Digest): Promise<boolean> {
    try {
      return await this.#store.quarantine(digest);
    } finally {
      this.drop(digest);
    }
  }

  partials(): AsyncIterable<PartialEntry> {
    return this.#store.partials();
  }

  removePartial(name: PartialName): Promise<boolean> {
    return this.#store.removePartial(name);
  }

  entries(): AsyncIterable<ListedBlob> {
    return this.#store.entries();
  }
}
