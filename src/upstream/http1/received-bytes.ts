import type { ByteBudget, ReleaseBytes } from "../../process/byte-budget.ts";
import { freeBytes } from "../../process/free-bytes.ts";

/**
 * The most bytes that are handed on at once. Whoever keeps some of them keeps no more, and decoding them does
 * not hold up the event loop, however tiny their chunks are.
 */
const PART_BYTES = 128 * 1024;

/**
 * Bytes that nobody has taken for so many milliseconds leave the budget: a client that stops to read must not keep
 * everybody else from receiving. There are no more of them than one block for each download.
 */
const UNREAD_MS = 1000;

/** Bytes that a socket has received at once, up to 512 KiB. */
interface Block {
  readonly bytes: Buffer;
  /** How many of them were taken. */
  taken: number;
  readonly release: ReleaseBytes;
}

/** What a connection has received and nobody has taken yet. */
export class ReceivedBytes {
  readonly #budget: ByteBudget;
  readonly #blocks: Block[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  get isEmpty(): boolean {
    return this.#blocks.length === 0;
  }

  /** Nobody else may use the bytes any more. */
  add(bytes: Buffer): void {
    this.#blocks.push({ bytes, taken: 0, release: this.#budget.hold(bytes.byteLength) });
    this.#watch();
  }

  /** The next bytes, which belong to the caller. */
  take(): Buffer | undefined {
    const [block] = this.#blocks;
    if (!block) return undefined;
    const { bytes, taken } = block;
    if (bytes.byteLength <= PART_BYTES) {
      this.#dropFirst();
      this.#watch();
      return bytes;
    }
    const part = Buffer.from(bytes.subarray(taken, taken + PART_BYTES));
    block.taken += part.byteLength;
    if (block.taken === bytes.byteLength) {
      freeBytes(bytes);
      this.#dropFirst();
    }
    this.#watch();
    return part;
  }

  clear(): void {
    while (!this.isEmpty) this.#dropFirst();
    this.#watch();
  }

  #watch(): void {
    clearTimeout(this.#timer);
    if (this.isEmpty) return;
    this.#timer = setTimeout(() => {
      for (const { release } of this.#blocks) release();
    }, UNREAD_MS).unref();
  }

  #dropFirst(): void {
    this.#blocks.shift()?.release();
  }
}
