import { freeBytes } from "../../process/free-bytes.ts";

/**
 * Bytes that are buffered at least, besides the last chunk: as many as a writer may not have written to
 * the file yet, so that what a failed write loses is still in memory. Up to one chunk more is buffered.
 */
const CAPACITY_BYTES = 256 * 1024;

/**
 * The last bytes of a fill in memory, in the chunks in which they arrived. Followers that are close
 * behind are sent these chunks: no file is read, and nothing is copied.
 */
export class TailBuffer {
  readonly #chunks: Uint8Array[] = [];
  /** Chunks that somebody has, and that only the garbage collector can free. */
  readonly #shared = new WeakSet<Uint8Array>();
  /** Offsets in the blob of the buffered bytes: `start` inclusive, `end` exclusive. */
  #start = 0;
  #end = 0;
  /** A copy of them, for everybody who wants all at once. */
  #whole: Blob | undefined;

  /**
   * Appends a chunk that begins at the offset `start` of the blob. The caller may use it until the next one is
   * appended, and never writes to it: if nobody has read it when it leaves the buffer, its memory is freed. If it
   * does not follow on the last one, the buffer is emptied first.
   */
  add(start: number, chunk: Uint8Array): void {
    if (start !== this.#end) this.#resetTo(start);
    this.#chunks.push(chunk);
    this.#end += chunk.byteLength;
    this.#whole = undefined;
    for (;;) {
      const [oldest] = this.#chunks;
      const before = this.#end - this.#start - chunk.byteLength;
      if (!oldest || before - oldest.byteLength < CAPACITY_BYTES) return;
      this.#chunks.shift();
      this.#start += oldest.byteLength;
      if (!this.#shared.has(oldest)) freeBytes(oldest);
    }
  }

  /** Bytes from `position` on, none at or beyond `end`; `undefined` if they are not buffered. */
  read(position: number, end: number): Uint8Array | undefined {
    if (position < this.#start) return undefined;
    let start = this.#start;
    for (const chunk of this.#chunks) {
      const chunkEnd = start + chunk.byteLength;
      if (position < chunkEnd) {
        this.#shared.add(chunk);
        return chunk.subarray(position - start, end - start);
      }
      start = chunkEnd;
    }
    return undefined;
  }

  /** The bytes from the first one of the blob to `end`; `undefined` if any of them is not buffered. */
  whole(end: number): Blob | undefined {
    if (this.#start > 0 || this.#end !== end) return undefined;
    this.#whole ??= new Blob(this.#chunks);
    return this.#whole;
  }

  #resetTo(start: number): void {
    this.#chunks.length = 0;
    this.#start = start;
    this.#end = start;
  }
}
