/**
 * Bytes that are kept: as many as a draft may not have written yet, so that what a write loses is
 * still here, but for the size of the last chunk at most. A chunk more may be.
 */
const KEPT = 512 * 1024;

/** What came last of a fill, as it came: who follows closely reads no file, and copies nothing. */
export class TailBuffer {
  readonly #chunks: Uint8Array[] = [];
  #start = 0;
  #end = 0;

  /** Takes a chunk that is never written to again, and that begins at this byte of the content. */
  add(start: number, chunk: Uint8Array): void {
    if (start !== this.#end) this.#begin(start);
    this.#chunks.push(chunk);
    this.#end += chunk.byteLength;
    for (;;) {
      const oldest = this.#chunks[0]?.byteLength ?? 0;
      if (this.#end - this.#start - oldest < KEPT) return;
      this.#chunks.shift();
      this.#start += oldest;
    }
  }

  /** Bytes from `position` on, none of them beyond `end`; `undefined` where they are not here. */
  from(position: number, end: number): Uint8Array | undefined {
    if (position < this.#start) return undefined;
    let start = this.#start;
    for (const chunk of this.#chunks) {
      const after = start + chunk.byteLength;
      if (position < after) return chunk.subarray(position - start, end - start);
      start = after;
    }
    return undefined;
  }

  #begin(start: number): void {
    this.#chunks.length = 0;
    this.#start = start;
    this.#end = start;
  }
}
