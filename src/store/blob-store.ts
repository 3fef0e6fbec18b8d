import type { Digest } from "../oci/digest.ts";

/** Content that is complete here and was verified when it was stored. */
export interface StoredBlob {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** A view of the bytes that can be sliced and sent; reading it costs no memory here. */
  readonly bytes: Blob;
  /** Set where the bytes are in memory, and no file has to be opened for them. */
  readonly isInMemory?: boolean;
}

/** What a store remembers of a content without being asked for its bytes. */
export interface BlobEntry {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** When it was stored, in milliseconds of the epoch. */
  readonly storedAt: number;
}

/**
 * Bytes by digest. It knows nothing of names, tags or who may see what: that is the index.
 *
 * Methods reject with a `Fault` of kind `storage` where the medium fails.
 */
export interface BlobStore {
  /** @param isAnew asks the disk, instead of believing what is known of it */
  open(digest: Digest, isAnew?: boolean): Promise<StoredBlob | undefined>;
  /**
   * Begins a content, or goes on with what an earlier draft of it kept. A digest has one draft at a
   * time; the caller sees to that.
   */
  writer(digest: Digest): Promise<BlobWriter>;
  /** Removes a content; readers that have it open read on. Returns whether it was there. */
  remove(digest: Digest): Promise<boolean>;
  /** Every content, in no order. */
  entries(): AsyncIterable<BlobEntry>;
  /** Beginnings that earlier drafts kept and that have no draft now, in no order. */
  partials(): AsyncIterable<BlobEntry>;
  /** Forgets a kept beginning; one that has a draft now is left alone. Returns whether it is gone. */
  removePartial(digest: Digest): Promise<boolean>;
  /**
   * Takes a content out of sight, as `remove` does, but leaves its bytes where a person can look at
   * them: for content that is not what its digest says.
   */
  quarantine(digest: Digest): Promise<boolean>;
}

/**
 * A content on its way in. Exactly one of `commit`, `keep` and `discard` ends it; where `commit`
 * rejects, the draft is still open and `discard` (or `keep`) has to follow.
 */
export interface BlobWriter {
  readonly digest: Digest;
  /** Bytes that are here, from the first one on. */
  readonly length: number;
  /**
   * Tells how large it will be, in bytes. Rejects where there cannot be room for all of it; room is
   * made as it comes.
   */
  reserve(size: number): Promise<void>;
  /**
   * Takes the next bytes, one call at a time. Once the promise has resolved they can be read, and
   * the chunk may be reused.
   */
  append(chunk: Uint8Array): Promise<void>;
  /**
   * Bytes that were appended: `first` included, `end` not. They are copied to memory, so ask for
   * pieces of at most 1 MiB. Any number of readers may ask at once, while bytes are appended and
   * after `commit`, when the stored content answers (a content that is followed should therefore not
   * be removed). After `keep` and `discard` it rejects; what was asked before is still answered.
   */
  read(first: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Whether the bytes so far are the content, as its digest has it. Nothing may be appended after
   * this was asked.
   */
  verify(): boolean;
  /**
   * Makes the content durable and visible.
   *
   * @throws Error where it was not verified: nothing unverified is ever stored.
   */
  commit(): Promise<StoredBlob>;
  /**
   * How much of it can be read for as long as the draft is open, and the hash of that much: where
   * who cannot store the rest goes on.
   */
  prefix(): { readonly length: number; readonly hasher: Bun.CryptoHasher };
  /** Leaves the bytes for a later draft of the same digest; bytes that `verify` refused are discarded. */
  suspend(): Promise<void>;
  /** Forgets the bytes. */
  discard(): Promise<void>;
}
