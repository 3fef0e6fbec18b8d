import { setTimeout } from "node:timers/promises";
import { type Digest, digestHex, newHasher } from "../../oci/digest.ts";
import type { BlobStore, StoredBlob } from "../blob-store.ts";

/** How much is read at a time, in bytes. */
const READ_BYTES = 512 * 1024;
/** What opening a file counts for the rate limit, in bytes, so that many small files do not exceed it. */
const FILE_COST = 64 * 1024;

export interface ScrubProgress {
  /** Blobs that were verified so far. */
  readonly files: number;
  /** Bytes that were read and hashed so far. */
  readonly bytes: number;
  /** Corrupt blobs that were found, at most the first 1000 of them. */
  readonly corrupt: readonly Digest[];
}

export interface ScrubOptions {
  readonly store: BlobStore;
  /** Bytes per second; unlimited by default. */
  readonly rate?: number;
  /** Called for each corrupt blob, and awaited before anything else is read. */
  readonly onCorrupt?: (digest: Digest) => Promise<void>;
  /** Called after each read, and after each blob. */
  readonly onProgress?: (progress: ScrubProgress) => void;
  readonly signal?: AbortSignal;
}

/** How many corrupt digests are reported at most; `onCorrupt` is called for all. */
const MAX_REPORTED = 1000;

/**
 * Reads and hashes every stored blob and finds the corrupt ones (bit rot, truncated files). Stops early
 * when `signal` is aborted.
 *
 * @throws Fault of kind `storage` if the store cannot be listed or opened
 */
export async function scrub(options: ScrubOptions): Promise<ScrubProgress> {
  const { store, rate, onCorrupt, onProgress, signal } = options;
  const limiter = new RateLimiter(rate);
  const corrupt: Digest[] = [];
  let [files, bytes] = [0, 0];
  for await (const { digest } of store.entries()) {
    if (signal?.aborted) break;
    const stored = await store.open(digest);
    if (!stored) continue; // It was evicted meanwhile.
    const onRead = async (count: number): Promise<void> => {
      bytes += count;
      onProgress?.({ files, bytes, corrupt });
      await limiter.consume(count, signal);
    };
    const isIntact = await verifyBlob(stored, onRead, signal);
    await limiter.consume(FILE_COST, signal);
    if (signal?.aborted) break;
    files += 1;
    if (isIntact === false && (await store.open(digest))) {
      if (corrupt.length < MAX_REPORTED) corrupt.push(digest);
      await onCorrupt?.(digest);
    }
    onProgress?.({ files, bytes, corrupt });
  }
  return { files, bytes, corrupt };
}

/**
 * Whether the bytes of a blob match its digest; `undefined` if the blob was removed meanwhile, or
 * `signal` is aborted.
 *
 * @param onRead called with the number of bytes of each read, and awaited before the next one
 */
export async function verifyBlob(
  { digest, size, bytes }: StoredBlob,
  onRead: (count: number) => Promise<void> = async () => {},
  signal?: AbortSignal,
): Promise<boolean | undefined> {
  const hasher = newHasher(digest);
  for (let at = 0; at < size; at += READ_BYTES) {
    if (signal?.aborted) return undefined;
    const chunk = await bytes
      .slice(at, Math.min(at + READ_BYTES, size))
      .bytes()
      .catch((error: unknown) => {
        // Bytes that the disk cannot read count as corrupt.
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        return new Uint8Array();
      });
    if (!chunk) return undefined;
    if (chunk.byteLength === 0) return false;
    hasher.update(chunk);
    await onRead(chunk.byteLength);
  }
  return hasher.digest("hex") === digestHex(digest);
}

/** Limits a rate in bytes per second, averaged since its construction. */
class RateLimiter {
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
