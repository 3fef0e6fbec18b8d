import type { Extent } from "../../../store/extents.ts";

/** A byte that the fill itself receives next is near if it is no further away than this. */
const NEAR_BYTES = 1024 * 1024;
/** A client waits so long for what is about to be received, in milliseconds. */
const SOON_MS = 500;

/** A client that still waits for bytes asks for them again within this time, in milliseconds. */
const ASKED_AGAIN_MS = 5000;

/** The fill's own request, beside which further connections receive other parts. */
export class OwnRequest {
  readonly #now: () => number;
  readonly #maxPart: number;
  #first = 0;
  #end = 0;
  #since = 0;
  #lastAt = 0;
  #at = 0;
  #wanted: Extent | undefined;
  #wantedAt = -Infinity;

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

  /** A client waits for bytes ahead that only this connection can receive. Who was first comes first. */
  want(bytes: Extent): void {
    const now = this.#now();
    const isOther = this.#wanted && this.#wanted.first !== bytes.first;
    if (isOther && now - this.#wantedAt < ASKED_AGAIN_MS) return;
    [this.#wanted, this.#wantedAt] = [bytes, now];
  }

  /** Whether it ends for those. The fill and its other readers get something meanwhile. */
  get isWanted(): boolean {
    if (!this.#wanted) return false;
    const now = this.#now();
    return now - this.#wantedAt < ASKED_AGAIN_MS && now - this.#since >= SOON_MS;
  }

  /** The bytes for which a client waits, once. */
  takeWanted(): Extent | undefined {
    const wanted = this.#now() - this.#wantedAt < ASKED_AGAIN_MS ? this.#wanted : undefined;
    this.#wanted = undefined;
    return wanted;
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
