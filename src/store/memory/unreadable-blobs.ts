import type { Digest } from "../../oci/digest.ts";
import { isTransient, isUnreadable } from "../storage-fault.ts";

/** How many blobs are remembered: about 5 MB of memory. Others are noticed again. */
const MAX_BLOBS = 16_384;

/** The last failed read of a blob. */
export interface FailedRead {
  /** The error of the system call. */
  readonly cause: unknown;
  /** About where in the blob it failed, in bytes. */
  readonly at: number;
  /** When a read failed first, and last (monotonic clock, in milliseconds). */
  readonly since: number;
  readonly last: number;
}

export type OnUnreadable = (digest: Digest, failed: FailedRead) => void;

/**
 * Stored blobs whose bytes cannot be read. They count as missing, so that they are fetched again, until
 * they can be read, or were stored anew. Their files stay: a permission may be the reason.
 */
export class UnreadableBlobs {
  readonly #clock: () => number;
  readonly #onUnreadable: OnUnreadable;
  readonly #onLimit: (cause: unknown) => void;
  /** In the order of their last failed read. */
  readonly #failed = new Map<Digest, FailedRead>();
  /** Those that were read and found corrupt, where nothing can be moved to the quarantine. */
  readonly #corrupt = new Set<Digest>();

  /**
   * @param onUnreadable called for each failed read
   * @param onLimit called with the error of each read that met a limit of this process or the machine
   */
  constructor(
    onUnreadable: OnUnreadable = () => {},
    clock: () => number = () => performance.now(),
    onLimit: (cause: unknown) => void = () => {},
  ) {
    this.#onLimit = onLimit;
    this.#onUnreadable = onUnreadable;
    this.#clock = clock;
  }

  get size(): number {
    return this.#failed.size + this.#corrupt.size;
  }

  has(digest: Digest): boolean {
    return this.#failed.has(digest) || this.#corrupt.has(digest);
  }

  /** The bytes of a blob are wrong, and its file cannot be moved away. It counts as missing until it is stored anew. */
  foundCorrupt(digest: Digest): void {
    if (this.#corrupt.size < MAX_BLOBS) this.#corrupt.add(digest);
  }

  /**
   * A read of a blob failed.
   *
   * @param cause the error of the system call
   * @param at about where in the blob, in bytes
   * @returns whether the blob counts as missing now: not if the file is gone, or the error says
   *   nothing of it
   */
  readFailed(digest: Digest, cause: unknown, at = 0): boolean {
    if (isTransient(cause)) this.#onLimit(cause);
    if (!isUnreadable(cause)) return false;
    const now = this.#clock();
    const failed = { cause, at, since: this.#failed.get(digest)?.since ?? now, last: now };
    this.#failed.delete(digest);
    const [oldest] = this.#failed.keys();
    if (oldest !== undefined && this.#failed.size >= MAX_BLOBS) this.#failed.delete(oldest);
    this.#failed.set(digest, failed);
    this.#onUnreadable(digest, failed);
    return true;
  }

  /** It can be read, was stored anew, or is gone. Returns whether it was known to be unreadable. */
  delete(digest: Digest): boolean {
    const wasCorrupt = this.#corrupt.delete(digest);
    return this.#failed.delete(digest) || wasCorrupt;
  }

  /** Those whose last read failed, the one that was tried longest ago first. */
  all(): [Digest, FailedRead][] {
    return [...this.#failed];
  }
}
