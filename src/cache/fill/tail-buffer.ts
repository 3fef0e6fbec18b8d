import { BufferPool } from "../../process/buffer-pool.ts";

/**
 * Bytes that are buffered at least, besides the last chunk, if they are not written: as many as a writer may not have
 * written to the file yet, so that what a failed write loses is still in memory. A blob of this size is buffered as a
 * whole.
 */
const CAPACITY_BYTES = 256 * 1024;

/** Bytes that are buffered besides the last chunk, for followers that are close behind. */
const RECENT_BYTES = 64 * 1024;
/** The same while all fills together have few: what is read from the file is garbage. */
const MORE_RECENT_BYTES = 1024 * 1024;
/** How many blocks are few. */
const FEW_BLOCKS = 64;

/** The size of a block, in bytes. */
export const TAIL_BLOCK_BYTES: number = 64 * 1024;

/** Bytes that follow each other; those after `length` are not used yet. */
interface Block {
  readonly bytes: Buffer;
  length: number;
}

/**
 * The last bytes of a fill in memory. Followers that are close behind read them here, and no file. They are copied
 * to blocks that are used again, since what is allocated for each chunk would be garbage soon.
 */
export class TailBuffer {
  readonly #buffers: BufferPool;
  readonly #blocks: Block[] = [];
  /** Offsets in the blob of the buffered bytes: `start` inclusive, `end` exclusive. */
  #start = 0;
  #end = 0;
  /** A copy of them, for everybody who wants all at once. */
  #whole: Blob | undefined;

  /** @param buffers of `TAIL_BLOCK_BYTES`, for all fills */
  constructor(buffers: BufferPool = new BufferPool(TAIL_BLOCK_BYTES)) {
    this.#buffers = buffers;
  }

  /**
   * Appends a copy of a chunk that begins at the offset `start` of the blob. If it does not follow on the last one,
   * the buffer is emptied first.
   *
   * @param written how many bytes, from the first one on, can be read from the file in any case
   */
  add(start: number, chunk: Uint8Array, written = 0): void {
    if (start !== this.#end) {
      this.clear();
      [this.#start, this.#end] = [start, start];
    }
    this.#whole = undefined;
    for (let copied = 0; copied < chunk.byteLength;) copied += this.#append(chunk.subarray(copied));
    for (;;) {
      const [oldest] = this.#blocks;
      if (!oldest || this.#end <= CAPACITY_BYTES) return;
      const isWritten = this.#start + oldest.length <= written;
      const recent = this.#buffers.taken > FEW_BLOCKS ? RECENT_BYTES : MORE_RECENT_BYTES;
      const kept = start - this.#start - oldest.length;
      if (kept < (isWritten ? recent : Math.max(recent, CAPACITY_BYTES))) return;
      this.#blocks.shift();
      this.#start += oldest.length;
      this.#buffers.give(oldest.bytes);
    }
  }

  /**
   * Bytes from `position` on, none at or beyond `end`; `undefined` if they are not buffered. To be used at once:
   * they change with the next `add`.
   */
  read(position: number, end: number): Uint8Array | undefined {
    if (position < this.#start) return undefined;
    let start = this.#start;
    for (const { bytes, length } of this.#blocks) {
      if (position < start + length) {
        return bytes.subarray(position - start, Math.min(length, end - start));
      }
      start += length;
    }
    return undefined;
  }

  /** The bytes from the first one of the blob to `end`; `undefined` if any of them is not buffered. */
  whole(end: number): Blob | undefined {
    if (this.#start > 0 || this.#end !== end) return undefined;
    // As parts of a Blob: none of them is in shared memory.
    this.#whole ??= new Blob(
      this.#blocks.map(({ bytes, length }) => bytes.subarray(0, length)) as BlobPart[],
    );
    return this.#whole;
  }

  /** Forgets everything, and gives its memory to others. */
  clear(): void {
    for (const { bytes } of this.#blocks.splice(0)) this.#buffers.give(bytes);
    this.#start = this.#end;
    this.#whole = undefined;
  }

  /** Copies the beginning of some bytes to the last block, or to a new one. Returns how many. */
  #append(bytes: Uint8Array): number {
    let last = this.#blocks.at(-1);
    if (!last || last.length === last.bytes.byteLength) {
      last = { bytes: this.#buffers.take(), length: 0 };
      this.#blocks.push(last);
    }
    const part = bytes.subarray(0, last.bytes.byteLength - last.length);
    last.bytes.set(part, last.length);
    last.length += part.byteLength;
    this.#end += part.byteLength;
    return part.byteLength;
  }
}
