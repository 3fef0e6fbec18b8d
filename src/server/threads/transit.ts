/** A block of what is read of a fill (cache/fill/read-cache.ts), in bytes. Larger chunks have no place. */
const PLACE_BYTES = 128 * 1024;
/** More than these are seldom on their way to one worker at the same time. */
const PLACES = 8;

/** Where a chunk is on its way from the main thread to a worker. */
export interface Place {
  readonly place: number;
  readonly length: number;
}

/**
 * Shared memory through which chunks of streams get from the main thread to one worker. A copy of each in a buffer of
 * its own would be garbage of the main thread, whose collection delays every response.
 */
export class Transit {
  readonly memory: SharedArrayBuffer;
  readonly #isTaken: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(
    memory = new SharedArrayBuffer(PLACES * (Int32Array.BYTES_PER_ELEMENT + PLACE_BYTES)),
  ) {
    this.memory = memory;
    this.#isTaken = new Int32Array(memory, 0, PLACES);
    this.#bytes = new Uint8Array(memory, this.#isTaken.byteLength);
  }

  /** Copies a chunk to a free place; `undefined` if there is none for it. */
  put(chunk: Uint8Array): Place | undefined {
    const { length } = chunk;
    if (length > PLACE_BYTES) return undefined;
    for (let place = 0; place < PLACES; place += 1) {
      if (Atomics.load(this.#isTaken, place) === 1) continue;
      this.#bytes.set(chunk, place * PLACE_BYTES);
      Atomics.store(this.#isTaken, place, 1);
      return { place, length };
    }
    return undefined;
  }

  /** A copy of the chunk at a place, which is free from then on. */
  take({ place, length }: Place): Uint8Array<ArrayBuffer> {
    const first = place * PLACE_BYTES;
    const chunk = new Uint8Array(length);
    chunk.set(this.#bytes.subarray(first, first + length));
    this.release({ place, length });
    return chunk;
  }

  /** For a chunk that nobody takes any more. */
  release({ place }: Place): void {
    Atomics.store(this.#isTaken, place, 0);
  }
}
