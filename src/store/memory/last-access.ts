import type { Digest } from "../../oci/digest.ts";
import type { BlobRecords } from "../metadata-store.ts";

export interface LastAccessOptions {
  /** How many digests are held in memory at most until they are written; 4096 by default. */
  readonly limit?: number;
  /** How often access times are written, in milliseconds; 5000 by default. */
  readonly interval?: number;
  /**
   * Called with the error of a periodic write that failed. Its access times are lost, which only makes
   * the blobs look older than they are.
   */
  readonly onError?: (error: unknown) => void;
}

/** Collects last-access times in memory and writes them in batches, so that a pull writes no metadata. */
export class LastAccess {
  readonly #blobs: Pick<BlobRecords, "touch">;
  readonly #limit: number;
  readonly #onError: (error: unknown) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #times = new Map<Digest, number>();
  #flushing: Promise<void> | undefined;

  constructor(blobs: Pick<BlobRecords, "touch">, options: LastAccessOptions = {}) {
    this.#blobs = blobs;
    this.#limit = options.limit ?? 4096;
    this.#onError = options.onError ?? (() => undefined);
    this.#timer = setInterval(() => this.#flushInBackground(), options.interval ?? 5000);
    this.#timer.unref();
  }

  /** Records an access; `at` is in milliseconds of the epoch. */
  touch(digest: Digest, at: number): void {
    const known = this.#times.get(digest);
    if (known !== undefined) {
      if (at > known) this.#times.set(digest, at);
      return;
    }
    if (this.#times.size >= this.#limit) {
      if (this.#flushing) {
        // The database does not keep up: the entry that was added first is dropped.
        const [oldest] = this.#times.keys();
        if (oldest !== undefined) this.#times.delete(oldest);
      } else {
        this.#flushInBackground();
      }
    }
    this.#times.set(digest, at);
  }

  /** Writes the access times that were collected so far. Rejects with the error of the write. */
  async flush(): Promise<void> {
    while (this.#flushing) await this.#flushing.catch(() => undefined);
    if (this.#times.size === 0) return;
    const times = this.#times;
    this.#times = new Map();
    this.#flushing = this.#blobs.touch(times).finally(() => {
      this.#flushing = undefined;
    });
    await this.#flushing;
  }

  /** Writes the remaining access times; `touch` must not be called afterwards. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  #flushInBackground(): void {
    this.flush().catch(this.#onError);
  }
}
