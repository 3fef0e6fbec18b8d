/** The most buffers that are kept for their next use. */
const MAX_KEPT = 16;

/**
 * Buffers of one size that writers share. A writer takes one when bytes arrive, and gives it back when they are
 * written: one that waits for its source occupies none.
 */
export class BufferPool {
  readonly #size: number;
  readonly #kept: Buffer[] = [];

  /** @param size of each buffer, in bytes */
  constructor(size: number) {
    this.#size = size;
  }

  take(): Buffer {
    return this.#kept.pop() ?? Buffer.allocUnsafeSlow(this.#size);
  }

  /** The caller must not use the buffer any more. */
  give(buffer: Buffer): void {
    if (this.#kept.length < MAX_KEPT) this.#kept.push(buffer);
  }
}
