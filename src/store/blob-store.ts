import type { Digest } from "../oci/digest.ts";
import type { Extent } from "./extents.ts";
import type { PartialName } from "./partial-name.ts";

/** A blob that is stored completely and whose digest was verified when it was stored. */
export interface StoredBlob {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /**
   * A view of the stored bytes, which can be sliced and sent. It is lazy: a view of a file holds no
   * bytes in memory, and its file is opened only when the bytes are read or sent.
   */
  readonly bytes: Blob;
  /** Whether the bytes are in memory, so that no file has to be opened to send them. */
  readonly isInMemory?: boolean;
}

/** What a listing of the store tells about a blob or a partial download, without opening it. */
export interface BlobEntry {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** When it was last written, in milliseconds of the epoch. */
  readonly storedAt: number;
}

/** A stored blob in a listing. Of a file that cannot be looked at, only the digest is known. */
export type ListedBlob = BlobEntry | (Pick<BlobEntry, "digest"> & { readonly size?: undefined });

/** A partial download in a listing of the store. */
export interface PartialEntry extends BlobEntry {
  readonly name: PartialName;
}

/**
 * Content-addressed storage: blobs by digest (manifests included), and the partial downloads of
 * blobs that are still missing. It knows nothing of repositories, tags or access; that is the
 * `MetadataStore`.
 *
 * All methods may be called concurrently. A method rejects with a `Fault` of kind `no-space` if
 * the disk or a quota is full, and of kind `storage` if the medium fails otherwise.
 */
export interface BlobStore {
  /**
   * Looks up a stored blob. Resolves to `undefined` if it is not stored; a partial download does
   * not count.
   *
   * @param shouldRecheck asks the medium instead of trusting what is cached in memory: for callers
   *   that need to notice a file which another process removed
   * @throws Fault of kind `storage`
   */
  open(digest: Digest, shouldRecheck?: boolean): Promise<StoredBlob | undefined>;
  /**
   * Reading the bytes of a stored blob failed. If the error says that they cannot be read, the store
   * may treat the blob as missing, so that it is fetched again.
   *
   * @param cause the error of the system call
   * @param at about where in the blob, in bytes
   * @returns whether the blob counts as missing now
   */
  readFailed(digest: Digest, cause: unknown, at?: number): boolean;
  /**
   * Starts to write a blob, or resumes the partial download of an earlier writer of the same owner
   * (see `BlobWriter.length`). A digest has at most one writer per owner at a time; callers ensure
   * that, for example by single-flight. They also ensure that only one of its writers commits.
   *
   * @param owner whose bytes are written, such as an upstream's name: those of one owner are never
   *   continued with those of another
   * @throws Error if the owner has a writer of the digest already
   * @throws Fault of kind `no-space` or `storage`
   */
  writer(digest: Digest, owner?: string): Promise<BlobWriter>;
  /**
   * Removes a stored blob. Readers that have opened its bytes can read on. Returns whether it was
   * stored.
   *
   * @throws Fault of kind `storage`
   */
  remove(digest: Digest): Promise<boolean>;
  /**
   * Lists all stored blobs, in no particular order. Blobs that are stored or removed meanwhile may
   * be listed or not.
   *
   * @throws Fault of kind `storage` after all others, if some cannot be listed
   */
  entries(): AsyncIterable<ListedBlob>;
  /** Lists the partial downloads that were suspended and have no writer now, in no particular order. */
  partials(): AsyncIterable<PartialEntry>;
  /**
   * Removes a partial download, unless it has a writer now. Returns `false` if it has one, and
   * `true` otherwise: there is no partial download left then.
   *
   * @throws Fault of kind `storage`
   */
  removePartial(name: PartialName): Promise<boolean>;
  /**
   * Removes a blob that is corrupt or cannot be read, as `remove` does, but keeps the
   * bytes where an operator can inspect them. Returns whether it was stored.
   *
   * @throws Fault of kind `no-space` or `storage`
   */
  quarantine(digest: Digest): Promise<boolean>;
}

/**
 * A blob that is being written. Exactly one of `commit`, `suspend` and `discard` ends the writer.
 * Where `commit` rejects, the writer is still open and has to be ended by `suspend` or `discard`.
 *
 * Writes are sequential: `append` and `absorb` are called one call at a time. Reads are concurrent, and so is
 * `writeAhead`.
 */
export interface BlobWriter {
  readonly digest: Digest;
  /** How many bytes of the blob were appended so far, including those of a resumed partial download. */
  readonly length: number;
  /** What was written ahead of `length`, in order, by this writer or an earlier one. It is not hashed yet. */
  readonly ahead: readonly Extent[];
  /** How many bytes there are in all: those of `length`, and those ahead. */
  readonly written: number;
  /**
   * Announces the size of the whole blob, in bytes. A store with a quota checks that the blob can
   * fit. No space is taken yet: that is done as the bytes are appended.
   *
   * @throws Fault of kind `no-space` if the blob cannot fit, whatever is evicted
   */
  reserve(size: number): Promise<void>;
  /**
   * Appends the next bytes, one call at a time. Once the promise has resolved, the bytes can be read
   * and the caller may reuse the chunk; they are not necessarily on the disk yet. A write that fails
   * later rejects the next `append`, or `commit`.
   *
   * @throws Error after `verify`, and after the end of the writer
   * @throws Fault of kind `no-space` or `storage`
   */
  append(chunk: Uint8Array): Promise<void>;
  /**
   * Writes bytes at an offset ahead of `length`. Once the promise has resolved, they are in `ahead` and can be
   * read. Calls may overlap in time, but not in place, and nothing that is ahead is appended meanwhile.
   *
   * @throws RangeError if the offset is not ahead
   * @throws Error after `verify`, and after the end of the writer
   * @throws Fault of kind `no-space` or `storage`
   */
  writeAhead(first: number, chunks: readonly Uint8Array[]): Promise<void>;
  /**
   * Appends what was written ahead and begins at `length`: at most 1 MiB, so that others get their turn.
   *
   * @returns whether there was something
   * @throws Error after `verify`, and after the end of the writer
   * @throws Fault of kind `no-space` or `storage`
   */
  absorb(): Promise<boolean>;
  /**
   * Reads bytes that were appended, or all written ahead: from offset `first` (inclusive) to `end` (exclusive). The bytes are copied
   * to memory, so read at most 1 MiB at a time. Any number of reads may run concurrently, also while
   * bytes are appended. After `commit`, reads are served from the stored blob, which must not be
   * removed while it is still being followed.
   *
   * @param into memory that may be used for them
   * @throws RangeError if the range is not within the appended bytes
   * @throws Fault of kind `cancelled` after `suspend` and `discard`; reads that began before still
   *   succeed
   * @throws Fault of kind `no-space` or `storage`
   */
  read(first: number, end: number, into?: Uint8Array): Promise<Uint8Array>;
  /**
   * Whether the digest of the appended bytes is the blob's. Nothing may be appended after this call.
   */
  verify(): boolean;
  /**
   * Makes the blob durable (synced) and visible to `open`.
   *
   * @throws Error if `verify` did not return `true` before: an unverified blob is never stored
   * @throws Fault of kind `no-space` or `storage`
   */
  commit(): Promise<StoredBlob>;
  /** The length of `prefix`. */
  readonly resumable: number;
  /**
   * How many bytes, from the first one on, were written successfully and stay readable while the
   * writer is open, and the hash state of exactly those bytes. It is the resume point of a reader
   * that goes on without the store after a write has failed.
   */
  prefix(): { readonly length: number; readonly hasher: Bun.CryptoHasher };
  /**
   * Ends the writer and keeps its bytes as a partial download, which the next writer of the digest
   * and owner resumes. Bytes that `verify` found wrong are discarded.
   *
   * @throws Error if the writer has ended already
   */
  suspend(): Promise<void>;
  /**
   * Ends the writer and deletes its bytes.
   *
   * @throws Error if the writer has ended already
   * @throws Fault of kind `storage`
   */
  discard(): Promise<void>;
}
