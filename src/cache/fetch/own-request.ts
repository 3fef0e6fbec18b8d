/** A byte that the fill itself receives next is near if it is no further away than this. */
const NEAR_BYTES = 1024 * 1024;
/** A client waits so long for what is about to be received, in milliseconds. */
const SOON_MS = 500;

/** The fill's own request, beside which further connections receive other parts. */
export class OwnRequest {
  readonly #now: () => number;
  readonly #maxPart: number;
  #first = 0;
  #end = 0;
  #since = 0;
  #lastAt = 0;
  #at = 0;

  /**
   * @param now a monotonic clock, in milliseconds
   * @param maxPart what is larger is no part of a blob, in bytes
   */
  constructor(now: () => number, maxPart: number) {
    this.#now = now;
    this.#maxPart = maxPart;
  }

  /** Up to where it requests. */
  get end(): number {
    return this.#end;
  }

  /** Up to where the fill has bytes, written or about to be. */
  get at(): number {
    return this.#at;
  }

  /** A request begins. */
  begin(first: number, end: number): void {
    [this.#first, this.#end, this.#at] = [first, end, first];
    this.#since = this.#lastAt = this.#now();
  }

  /** The fill has received the bytes up to `offset`. */
  reached(offset: number): void {
    this.#at = offset;
    this.#lastAt = this.#now();
  }

  /** Whether it is about to receive a byte. */
  isSoonAt(offset: number): boolean {
    if (offset <= this.#at) return true;
    const now = this.#now();
    if (offset >= this.#end || now - this.#lastAt >= SOON_MS) return false;
    const left = offset - this.#at;
    const soonBytes = ((this.#at - this.#first) / Math.max(1, now - this.#since)) * SOON_MS;
    // A part is worth a wait: what is cut off of it was sent in vain.
    if (this.#end - this.#first <= this.#maxPart) {
      return now - this.#since < SOON_MS || left < 2 * soonBytes;
    }
    return left < Math.max(NEAR_BYTES, soonBytes);
  }
}
