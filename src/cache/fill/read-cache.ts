/** What followers read at once, in bytes. */
const PIECE = 256 * 1024;
/** Pieces in memory for all followers of a fill together. */
const SHARED = 4;

/** Bytes of a file that grows. Its readers run close together: what one has read, the next one wants. */
export class ReadCache {
  readonly #read: (first: number, end: number) => Promise<Uint8Array>;
  readonly #known = new Map<number, Promise<Uint8Array>>();

  constructor(read: (first: number, end: number) => Promise<Uint8Array>) {
    this.#read = read;
  }

  /** The bytes from `position` on, of which `available` are there: at least one, at most a piece. */
  async from(position: number, available: number): Promise<Uint8Array> {
    const number = Math.floor(position / PIECE);
    const start = number * PIECE;
    if (available < start + PIECE) return this.#read(position, available);
    return (await this.#piece(number)).subarray(position - start);
  }

  #piece(number: number): Promise<Uint8Array> {
    const known = this.#known.get(number);
    if (known) return known;
    const piece = this.#read(number * PIECE, (number + 1) * PIECE);
    this.#known.set(number, piece);
    piece.catch(() => this.#known.delete(number));
    const [oldest] = this.#known.keys();
    if (oldest !== undefined && this.#known.size > SHARED) this.#known.delete(oldest);
    return piece;
  }
}
