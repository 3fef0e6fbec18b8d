import { setTimeout } from "node:timers/promises";
import { type Digest, digestHex, newHasher } from "../../oci/digest.ts";
import type { BlobStore, StoredBlob } from "../blob-store.ts";

/** What is read at once, in bytes. */
const READ_BYTES = 512 * 1024;
/** What opening a file counts for, in bytes: many small ones would otherwise be read all at once. */
const FILE_COST = 64 * 1024;

export interface ScrubProgress {
  readonly files: number;
  /** Read and hashed so far. */
  readonly bytes: number;
  readonly corrupt: readonly Digest[];
}

export interface ScrubOptions {
  readonly store: BlobStore;
  /** Bytes per second; unset for as fast as it goes. */
  readonly rate?: number;
  /** Called for what is not what its name says, before anything else is read. */
  readonly onCorrupt?: (digest: Digest) => Promise<void>;
  /** Called after each piece. */
  readonly onProgress?: (progress: ScrubProgress) => void;
  readonly signal?: AbortSignal;
}

/** Corrupt digests that are remembered by name; beyond them, they are still handled one by one. */
const MAX_REPORTED = 1000;

/** Reads every stored byte, and finds what is not, or no longer, what its digest says. */
export async function scrub(options: ScrubOptions): Promise<ScrubProgress> {
  const { store, rate, onCorrupt, onProgress, signal } = options;
  const pace = new RateLimiter(rate);
  const corrupt: Digest[] = [];
  let [files, bytes] = [0, 0];
  for await (const { digest } of store.entries()) {
    if (signal?.aborted) break;
    const stored = await store.open(digest);
    if (!stored) continue; // It was evicted meanwhile.
    const read = async (count: number): Promise<void> => {
      bytes += count;
      onProgress?.({ files, bytes, corrupt });
      await pace.consume(count, signal);
    };
    const isRight = await verifyBlob(stored, read, signal);
    await pace.consume(FILE_COST, signal);
    if (signal?.aborted) break;
    files += 1;
    if (isRight === false && (await store.open(digest))) {
      if (corrupt.length < MAX_REPORTED) corrupt.push(digest);
      await onCorrupt?.(digest);
    }
    onProgress?.({ files, bytes, corrupt });
  }
  return { files, bytes, corrupt };
}

/** Whether a content is what its digest says; `undefined` where it went away while it was read. */
export async function verifyBlob(
  { digest, size, bytes }: StoredBlob,
  onRead: (count: number) => Promise<void> = async () => {},
  signal?: AbortSignal,
): Promise<boolean | undefined> {
  const hasher = newHasher(digest);
  for (let at = 0; at < size; at += READ_BYTES) {
    if (signal?.aborted) return undefined;
    const piece = await bytes
      .slice(at, Math.min(at + READ_BYTES, size))
      .bytes()
      .catch((error: unknown) => {
        // A disk that cannot read its bytes back has lost them.
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        return new Uint8Array();
      });
    if (!piece) return undefined;
    if (piece.byteLength === 0) return false;
    hasher.update(piece);
    await onRead(piece.byteLength);
  }
  return hasher.digest("hex") === digestHex(digest);
}

/** Keeps to a rate, on the average since it began. */
class RateLimiter {
  readonly #rate: number | undefined;
  readonly #startedAt = performance.now();
  #bytes = 0;

  constructor(rate: number | undefined) {
    this.#rate = rate;
  }

  async consume(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    this.#bytes += bytes;
    if (this.#rate === undefined) return;
    const due = (this.#bytes / this.#rate) * 1000 - (performance.now() - this.#startedAt);
    // An inspection that is to end ends at once.
    if (due > 1) await setTimeout(due, undefined, signal ? { signal } : {}).catch(() => {});
  }
}
