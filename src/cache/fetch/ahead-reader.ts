import type { ChunkReader, Transfer } from "./source.ts";

/** A transfer that ends sooner than its client's part, after less than this, is short, in bytes. */
const SHORT_BYTES = 16 * 1024;
/** After so many of them one after the other, the follower stays with the fill. */
const MAX_SHORT = 4;

/**
 * Reads bytes ahead of a fill through ranged transfers, each opened when the last one has ended.
 * An error only ends it: the follower then waits for the fill, which reports what is wrong.
 */
export class AheadReader {
  readonly #open: (from: number) => Promise<Transfer>;
  #reader: Promise<ChunkReader> | undefined;
  #isOver = false;
  /** Of the current transfer. */
  #bytes = 0;
  #shortTransfers = 0;
  readonly #over = Promise.withResolvers<undefined>();

  constructor(open: (from: number) => Promise<Transfer>) {
    this.#open = open;
  }

  /** Whether a transfer is open, from which all is read that it sends. */
  get isReading(): boolean {
    return this.#reader !== undefined;
  }

  /** The bytes at `position`, none at or beyond `limit`: `null` after a transfer's end, `undefined` for none. */
  async read(position: number, limit: number): Promise<Uint8Array | null | undefined> {
    const wasOpen = this.isReading;
    try {
      while (!this.#isOver) {
        this.#reader ??= this.#openAt(position);
        const reader = await Promise.race([this.#reader, this.#over.promise]);
        if (!reader) break;
        const { done, value } = await reader.read();
        this.#bytes += value?.byteLength ?? 0;
        if (value && value.byteLength > 0) return value.subarray(0, limit - position);
        if (!done) continue;
        this.#reader = undefined;
        this.#shortTransfers = this.#bytes < SHORT_BYTES ? this.#shortTransfers + 1 : 0;
        this.#bytes = 0;
        if (wasOpen && !this.#isOver && this.#shortTransfers < MAX_SHORT) return null;
        // A transfer without a byte: the next one would have none either.
        break;
      }
    } catch {
      // The fill meets the same source, and reports its failure.
    }
    this.cancel();
    return undefined;
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#over.resolve(undefined);
    // A transfer that is still being opened is cancelled once it is open.
    this.#reader?.then((reader) => reader.cancel()).catch(() => {});
  }

  async #openAt(first: number): Promise<ChunkReader> {
    const { start, body } = await this.#open(first);
    if (start === first) return body.getReader();
    await body.cancel();
    throw new RangeError(`the transfer begins at byte ${start} instead of ${first}`);
  }
}
