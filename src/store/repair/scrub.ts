import { setTimeout } from "node:timers/promises";
import { type Digest, digestHex, newHasher } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { freeBytes } from "../../process/free-bytes.ts";
import type { BlobStore, StoredBlob } from "../blob-store.ts";
import { describeSystemError, systemCode } from "../storage-fault.ts";

/** How much is read at a time, in bytes: each thread for file I/O keeps the memory for what it read last. */
const READ_BYTES = 128 * 1024;
/** What opening a file counts for the rate limit, in bytes, so that many small files do not exceed it. */
const FILE_COST = 64 * 1024;

/** A blob whose bytes the disk did not give. It may be sound: only the read failed. */
export interface UnreadableBlob {
  readonly digest: Digest;
  readonly reason: string;
}

export interface ScrubProgress {
  /** Blobs that were read so far. */
  readonly files: number;
  /** Bytes that were read and hashed so far. */
  readonly bytes: number;
  /** Corrupt blobs that were found, at most the first 1000 of them. */
  readonly corrupt: readonly Digest[];
  /** Blobs that could not be read, at most the first 1000 of them. They stay where they are. */
  readonly unreadable: readonly UnreadableBlob[];
}

export interface ScrubOptions {
  readonly store: BlobStore;
  /** Bytes per second; unlimited by default. */
  readonly rate?: number;
  /** Called for each corrupt blob, and awaited before anything else is read. */
  readonly onCorrupt?: (digest: Digest) => Promise<void>;
  /** Called for each blob that cannot be read. */
  readonly onUnreadable?: (digest: Digest, failure: ReadFailure) => void;
  /** Called after each read, and after each blob. */
  readonly onProgress?: (progress: ScrubProgress) => void;
  readonly signal?: AbortSignal;
}

/** How many digests of a kind are reported at most; the callbacks are called for all. */
const MAX_REPORTED = 1000;

/**
 * Reads and hashes every stored blob and finds the corrupt ones (bit rot, truncated files). Stops early
 * when `signal` is aborted.
 *
 * @throws Fault of kind `storage` if the store cannot be listed
 */
export async function scrub(options: ScrubOptions): Promise<ScrubProgress> {
  const { store, rate, onCorrupt, onUnreadable, onProgress, signal } = options;
  const limiter = new RateLimiter(rate);
  const corrupt: Digest[] = [];
  const unreadable: UnreadableBlob[] = [];
  let [files, bytes] = [0, 0];
  for await (const { digest } of store.entries()) {
    if (signal?.aborted) break;
    const onRead = async (count: number): Promise<void> => {
      bytes += count;
      onProgress?.({ files, bytes, corrupt, unreadable });
      await limiter.consume(count, signal);
    };
    const verdict = await verifyStored(store, digest, onRead, signal);
    await limiter.consume(FILE_COST, signal);
    if (signal?.aborted) break;
    if (verdict === "gone") continue; // It was evicted meanwhile.
    files += 1;
    if (typeof verdict === "object") {
      const blob = { digest, reason: describeSystemError(verdict.cause) };
      if (unreadable.length < MAX_REPORTED) unreadable.push(blob);
      onUnreadable?.(digest, verdict);
    } else if (verdict === "corrupt" && (await store.open(digest))) {
      if (corrupt.length < MAX_REPORTED) corrupt.push(digest);
      await onCorrupt?.(digest);
    }
    onProgress?.({ files, bytes, corrupt, unreadable });
  }
  return { files, bytes, corrupt, unreadable };
}

/** Bytes that could not be read. */
export interface ReadFailure {
  /** The error of the system call. */
  readonly cause: unknown;
  /** Where in the blob, in bytes. */
  readonly at: number;
}

/**
 * Whether the bytes of a blob match its digest. `gone` if it was removed meanwhile, or `signal` is
 * aborted. A failed read says nothing of the blob: a permission, a limit of descriptors or a busy disk
 * may be the reason.
 */
export type Verdict = "intact" | "corrupt" | "gone" | ReadFailure;

/**
 * Opens, reads and hashes a stored blob.
 *
 * @param onRead called with the number of bytes of each read, and awaited before the next one
 */
export async function verifyStored(
  store: BlobStore,
  digest: Digest,
  onRead: (count: number) => Promise<void> = async () => {},
  signal?: AbortSignal,
): Promise<Verdict> {
  try {
    const stored = await store.open(digest);
    return stored ? await verifyBlob(stored, onRead, signal) : "gone";
  } catch (error) {
    if (error instanceof Fault && error.detail.kind === "storage")
      return { cause: error.cause, at: 0 };
    throw error;
  }
}

async function verifyBlob(
  { digest, size, bytes }: StoredBlob,
  onRead: (count: number) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<Verdict> {
  const hasher = newHasher(digest);
  for (let at = 0; at < size; at += READ_BYTES) {
    if (signal?.aborted) return "gone";
    let chunk: Uint8Array;
    try {
      chunk = await bytes.slice(at, Math.min(at + READ_BYTES, size)).bytes();
    } catch (cause) {
      if (systemCode(cause) === "ENOENT") return "gone";
      return { cause, at };
    }
    // The file is shorter than when it was stored.
    if (chunk.byteLength === 0) return "corrupt";
    hasher.update(chunk);
    const { byteLength } = chunk;
    freeBytes(chunk);
    await onRead(byteLength);
  }
  return hasher.digest("hex") === digestHex(digest) ? "intact" : "corrupt";
}

/** Limits a rate in bytes per second, averaged since its construction. */
export class RateLimiter {
  readonly #rate: number | undefined;
  readonly #startedAt = performance.now();
  #bytes = 0;

  constructor(rate: number | undefined) {
    this.#rate = rate;
  }

  /** Waits until the rate allows the bytes that were just read. */
  async consume(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    this.#bytes += bytes;
    if (this.#rate === undefined) return;
    const wait = (this.#bytes / this.#rate) * 1000 - (performance.now() - this.#startedAt);
    // An abort ends the wait at once.
    if (wait > 1) await setTimeout(wait, undefined, signal ? { signal } : {}).catch(() => {});
  }
}
