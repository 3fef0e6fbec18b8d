import type { Digest } from "../../oci/digest.ts";
import type { BlobRecords } from "../metadata-store.ts";

export interface LastAccessOptions {
  /** Digests that are remembered until they are written. */
  readonly limit?: number;
  /** Milliseconds from one writing to the next. */
  readonly interval?: number;
  /** Told of writing that failed with nobody waiting for it; the times of it are lost, which only makes content look older. */
  readonly onError?: (error: unknown) => void;
}

/** Gathers when contents were used, so that a pull costs the index no write. */
export class LastAccess {
  readonly #blobs: Pick<BlobRecords, "touch">;
  readonly #limit: number;
  readonly #onError: (error: unknown) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #times = new Map<Digest, number>();
  #flushing: Promise<void> | undefined;

  constructor(contents: Pick<BlobRecords, "touch">, options: LastAccessOptions = {}) {
    this.#blobs = contents;
    this.#limit = options.limit ?? 4096;
    this.#onError = options.onError ?? (() => undefined);
    this.#timer = setInterval(() => this.#flushInBackground(), options.interval ?? 5000);
    this.#timer.unref();
  }

  /** Remembers a use; `at` is in milliseconds of the epoch. */
  touch(digest: Digest, at: number): void {
    const known = this.#times.get(digest);
    if (known !== undefined) {
      if (at > known) this.#times.set(digest, at);
      return;
    }
    if (this.#times.size >= this.#limit) {
      if (this.#flushing) {
        // The index does not keep up. The entry that waited longest gives way.
        const [oldest] = this.#times.keys();
        if (oldest !== undefined) this.#times.delete(oldest);
      } else {
        this.#flushInBackground();
      }
    }
    this.#times.set(digest, at);
  }

  /** Writes what was gathered until now. */
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

  /** Writes the rest; nothing may be touched afterwards. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  #flushInBackground(): void {
    this.flush().catch(this.#onError);
  }
}
