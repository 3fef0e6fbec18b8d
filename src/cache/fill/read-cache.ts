/** Size of a block, in bytes: what is read from the file at once. */
export const BLOCK_BYTES = 128 * 1024;
/** Blocks in memory, shared by all followers of a fill. */
const MAX_BLOCKS = 4;

/**
 * Reads a growing file through a small cache of blocks. Followers of a fill read close behind each
 * other, so a block that one of them has read is soon wanted by the next.
 */
export class ReadCache {
  readonly #readFile: (first: number, end: number) => Promise<Uint8Array>;
  readonly #blocks = new Map<number, Promise<Uint8Array>>();

  /** @param readFile reads bytes of the file: `first` inclusive, `end` exclusive */
  constructor(readFile: (first: number, end: number) => Promise<Uint8Array>) {
    this.#readFile = readFile;
  }

  /**
   * Bytes from `position` on, at least one and at most a block. The first `available` bytes of the
   * file can be read.
   */
  async read(position: number, available: number): Promise<Uint8Array> {
    const index = Math.floor(position / BLOCK_BYTES);
    const start = index * BLOCK_BYTES;
    // An incomplete block still grows, so it is not cached.
    if (available < start + BLOCK_BYTES) return this.#readFile(position, available);
    return (await this.#block(index)).subarray(position - start);
  }

  #block(index: number): Promise<Uint8Array> {
    const cached = this.#blocks.get(index);
    if (cached) return cached;
    const block = this.#readFile(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
    this.#blocks.set(index, block);
    block.catch(() => this.#blocks.delete(index));
    const [oldest] = this.#blocks.keys();
    if (oldest !== undefined && this.#blocks.size > MAX_BLOCKS) this.#blocks.delete(oldest);
    return block;
  }
}
