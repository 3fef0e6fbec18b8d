import { type Digest, digestAlgorithm } from "../../oci/digest.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import type { Fault } from "../../oci/fault.ts";

/** The largest object that one PUT can write (Amazon S3, "Uploading objects"), in bytes. */
export const MAX_SHARED_BYTES = 5 * 2 ** 30;

/**
 * Whether a blob can be in a shared store. What the store verifies as it is written is SHA-256, and it is
 * written in one piece, so that there is never a part of it.
 *
 * @param size in bytes, if it is known
 */
export function isShareable(digest: Digest, size = 0): boolean {
  return digestAlgorithm(digest) === "sha256" && size <= MAX_SHARED_BYTES;
}

/** A blob in a listing of the shared store. */
export interface SharedObject {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** When it was written, by the store's clock, in milliseconds of the epoch. */
  readonly storedAt: number;
}

/** The bytes of a shared blob, as they arrive. */
export interface SharedBody {
  /** The size of the whole blob in bytes, if the store announced it. */
  readonly size?: number;
  /** The offset in the blob of the body's first byte. */
  readonly start: number;
  /** Must be read to its end or cancelled. Fails with a `Fault`. A chunk may be used until the next one is read. */
  readonly body: ReadableStream<Uint8Array>;
  /** Resolves when the body has ended in any way. Never rejects. */
  readonly ended: Promise<SharedBodyEnd>;
}

export interface SharedBodyEnd {
  /** How many bytes were received. */
  readonly bytes: number;
  /** Why it broke, if it did. */
  readonly fault?: Fault;
}

/** How long the parts of a transfer may take, in milliseconds. */
export interface SharedLimits {
  readonly firstByteMs: number;
  readonly stallMs: number;
}

/**
 * Whole blobs by digest, which all replicas share. Nothing partial and nothing unverified can be in it, but
 * nobody has to trust that: whoever reads a blob verifies it.
 *
 * All methods may be called concurrently. They reject with a `SharedStoreError`, or with the reason of the
 * signal; none waits for ever.
 */
export interface SharedStore {
  /** For messages: the store's address, without secrets. */
  readonly name: string;
  /** The size of a blob in bytes; `undefined` if it is not there. */
  size(digest: Digest, signal?: AbortSignal): Promise<number | undefined>;
  /**
   * Opens a blob at an offset in bytes. Resolves to `undefined` if it is not there.
   *
   * @param end exclusive; without it, to the blob's end
   */
  read(
    digest: Digest,
    offset: number,
    signal: AbortSignal,
    end?: number,
  ): Promise<SharedBody | undefined>;
  /**
   * Writes a blob as a whole; the store refuses bytes that do not match the digest.
   *
   * @throws also whatever reading the blob fails with
   */
  write(blob: StoredBlob, signal?: AbortSignal): Promise<void>;
  /** Removes blobs. Those that are not there count as removed. */
  remove(digests: readonly Digest[], signal?: AbortSignal): Promise<void>;
  /**
   * Lists blobs in order of their digests.
   *
   * @param after only those behind this digest
   */
  list(after?: Digest, signal?: AbortSignal): AsyncIterable<SharedObject>;
  /**
   * A URL that gives the blob to whoever has it, for so many seconds.
   */
  addressOf(digest: Digest, seconds: number): Promise<URL>;
}
