import { BufferPool } from "../../process/buffer-pool.ts";
import { freeBytes } from "../../process/free-bytes.ts";

/** Size of a block, in bytes: what is read from the file at once. */
export const BLOCK_BYTES = 128 * 1024;
/** The most blocks in memory, of all fills together. */
const MAX_BLOCKS = 16;

/** Reads bytes of a file, `first` inclusive, `end` exclusive, into memory that is given for them, or into other. */
export type ReadFile = (first: number, end: number, into?: Uint8Array) => Promise<Uint8Array>;

/** A block of a file, in memory that is used again. */
class Block {
  readonly #buffers: BufferPool;
  readonly #buffer: Buffer;
  readonly #bytes: Promise<Uint8Array>;
  #users = 1;

  constructor(buffers: BufferPool, read: (into: Buffer) => Promise<Uint8Array>) {
    this.#buffers = buffers;
    this.#buffer = buffers.take();
    this.#bytes = read(this.#buffer);
    this.#bytes.catch(() => {});
  }

  /** Calls `use` with its bytes, which may not be used any more after that. */
  async use<Value>(use: (bytes: Uint8Array) => Value): Promise<Value> {
    this.#users += 1;
    try {
      return use(await this.#bytes);
    } finally {
      await this.leave();
    }
  }

  /** One user less: the last one gives the memory to others. */
  async leave(): Promise<void> {
    this.#users -= 1;
    if (this.#users > 0) return;
    const bytes = await this.#bytes.catch(() => undefined);
    this.#buffers.give(this.#buffer);
    if (bytes && bytes.buffer !== this.#buffer.buffer) freeBytes(bytes);
  }
}

/**
 * The blocks that were read last from the files of all fills. A hundred fills with a few followers each keep no
 * more of them in memory than one with a hundred followers.
 */
export class RecentBlocks {
  readonly buffers: BufferPool = new BufferPool(BLOCK_BYTES);
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
  readonly #readFile: ReadFile;
  readonly #recent: RecentBlocks;
  readonly #blocks = new Map<number, Block>();

  constructor(readFile: ReadFile, recent: RecentBlocks) {
    this.#readFile = readFile;
    this.#recent = recent;
  }

  /**
   * Bytes from `position` on, at least one and at most a block. The first `available` bytes of the
   * file can be read.
   *
   * @param into gives memory that nobody uses any more, for all or the first of them
   */
  async read(position: number, available: number, into?: () => Uint8Array): Promise<Uint8Array> {
    const index = Math.floor(position / BLOCK_BYTES);
    const start = index * BLOCK_BYTES;
    const memory = into?.();
    // An incomplete block still grows, so it is not cached.
    if (available < start + BLOCK_BYTES) {
      const end = Math.min(available, position + (memory?.byteLength ?? BLOCK_BYTES));
      return this.#readFile(position, end, memory);
    }
    return this.#block(index).use((block) => {
      const bytes = block.subarray(position - start);
      if (!memory) return new Uint8Array(bytes);
      const first = bytes.subarray(0, memory.byteLength);
      memory.set(first);
      return memory.subarray(0, first.byteLength);
    });
  }

  #block(index: number): Block {
    const cached = this.#blocks.get(index);
    if (cached) return cached;
    const first = index * BLOCK_BYTES;
    const block = new Block(this.#recent.buffers, (into) =>
      this.#readFile(first, first + BLOCK_BYTES, into),
    );
    this.#blocks.set(index, block);
    const forget = (): void => {
      if (this.#blocks.get(index) === block) this.#blocks.delete(index);
    };
    block.use(() => {}).catch(forget);
    this.#recent.keep(() => {
      forget();
      void block.leave();
    });
    return block;
  }
}
