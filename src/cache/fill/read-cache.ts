/** Size of a block, in bytes: what is read from the file at once. */
export const BLOCK_BYTES = 128 * 1024;
/** The most blocks in memory, of all fills together. */
const MAX_BLOCKS = 16;

/**
 * The blocks that were read last from the files of all fills. A hundred fills with a few followers each keep no
 * more of them in memory than one with a hundred followers.
 */
export class RecentBlocks {
  /** What forgets a block, in the order in which they were read. */
  readonly #kept = new Set<() => void>();

  /** @param forget called once so many blocks were read after it that it has to go */
  keep(forget: () => void): void {
    this.#kept.add(forget);
    const [oldest] = this.#kept;
    if (!oldest || this.#kept.size <= MAX_BLOCKS) return;
    this.#kept.delete(oldest);
    oldest();
  }
}

/**
 * Reads a growing file through a small cache of blocks. Followers of a fill read close behind each
 * other, so a block that one of them has read is soon wanted by the next.
 */
export class ReadCache {
  readonly #readFile: (first: number, end: number) => Promise<Uint8Array>;
  readonly #recent: RecentBlocks;
  readonly #blocks = new Map<number, Promise<Uint8Array>>();

  /** @param readFile reads bytes of the file: `first` inclusive, `end` exclusive */
  constructor(readFile: (first: number, end: number) => Promise<Uint8Array>, recent: RecentBlocks) {
    this.#readFile = readFile;
    this.#recent = recent;
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
    this.#recent.keep(() => this.#blocks.delete(index));
    return block;
  }
}
