import { freeBytes } from "./free-bytes.ts";

/** The most buffers that are kept for their next use. */
const MAX_KEPT = 16;

/**
 * Buffers of one size that many share. Whoever needs one takes it when bytes arrive, and gives it back when they
 * are not needed any more: a download that waits for its source occupies none, and makes no garbage.
 */
export class BufferPool {
  /** Of each buffer, in bytes. */
  readonly size: number;
  readonly #kept: Buffer[] = [];
  #taken = 0;

  /** @param size of each buffer, in bytes */
  constructor(size: number) {
    this.size = size;
  }

  /** How many are in use. */
  get taken(): number {
    return this.#taken;
  }

  take(): Buffer {
    this.#taken += 1;
    return this.#kept.pop() ?? Buffer.allocUnsafeSlow(this.size);
  }

  /** The caller must not use the buffer any more. */
  give(buffer: Buffer): void {
    this.#taken -= 1;
    if (this.#kept.length < MAX_KEPT) this.#kept.push(buffer);
    else freeBytes(buffer);
  }
}
