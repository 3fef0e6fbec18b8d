import { ReadCache } from "./read-cache.ts";
import { TailBuffer } from "./tail-buffer.ts";

/** What followers can read of a fill: its latest bytes from memory, and the others from its file. */
export class ReadableBytes {
  readonly #readFile: (first: number, end: number) => Promise<Uint8Array>;
  #tail = new TailBuffer();
  #cache: ReadCache;
  /** Bytes that can be read from the file. Finite only after a failed write; the rest is buffered. */
  #writtenBytes = Infinity;
  #attempt = 0;

  /** @param readFile reads bytes of the file: `first` inclusive, `end` exclusive */
  constructor(readFile: (first: number, end: number) => Promise<Uint8Array>) {
    this.#readFile = readFile;
    this.#cache = new ReadCache(readFile);
  }

  /** How often the bytes turned out to be wrong. */
  get attempt(): number {
    return this.#attempt;
  }

  /** The buffer of the latest bytes. */
  get tail(): TailBuffer {
    return this.#tail;
  }

  /** A write has failed: only this many bytes are in the file. */
  limitFile(bytes: number): void {
    this.#writtenBytes = bytes;
  }

  /** The bytes so far are wrong: those that come next are of another attempt. */
  discard(): void {
    this.#attempt += 1;
    this.#tail = new TailBuffer();
    this.#cache = new ReadCache(this.#readFile);
  }

  /** At least one byte from `position` on, and at most a chunk or a block of 256 KiB. */
  async read(position: number, available: number): Promise<Uint8Array> {
    const buffered = this.#tail.read(position, available);
    return buffered ?? this.#cache.read(position, Math.min(available, this.#writtenBytes));
  }
}
