import type { BodyReader } from "../http1/get.ts";
import type { Turns } from "./turns.ts";

/**
 * A body of at most this many bytes is handed on as it arrives, and others wait longer for it: clients wait for
 * the whole of a config, and for the tables with which lazy pullers begin.
 */
const SMALL_BYTES = 64 * 1024;

export interface PacedReaderOptions {
  readonly turns: Turns;
  /** Ends a wait for the next turn. */
  readonly signal: AbortSignal;
  /** The body's size in bytes, if Content-Length states it. */
  readonly expected?: number | undefined;
}

/**
 * Hands a body on in its turns, in parts that take a moment each. Nothing is received meanwhile that was not
 * asked for, except by `fetch`.
 */
export class PacedReader implements BodyReader {
  readonly #reader: BodyReader;
  readonly #options: PacedReaderOptions;
  readonly #waitedBefore: number;
  #rest: Uint8Array = new Uint8Array();
  #bytes = 0;

  constructor(reader: BodyReader, options: PacedReaderOptions) {
    this.#reader = reader;
    this.#options = options;
    this.#waitedBefore = options.turns.waited;
  }

  get heldBack(): number {
    return (this.#reader.heldBack ?? 0) + this.#options.turns.waited - this.#waitedBefore;
  }

  async read(): ReturnType<BodyReader["read"]> {
    const { turns, signal, expected } = this.#options;
    const isSmall = expected !== undefined && expected <= SMALL_BYTES;
    // The first part may be what a client gets its headers with.
    if (!isSmall && this.#bytes > 0 && this.#bytes !== expected) await turns.next(signal);
    while (this.#rest.byteLength === 0) {
      const next = await this.#reader.read();
      if (next.done) return next;
      this.#rest = next.value;
    }
    // Whoever gets all of a buffer can free it.
    const isWhole = isSmall || turns.isUnlimited;
    const value = this.#rest.subarray(0, isWhole ? undefined : turns.partBytes);
    this.#rest = this.#rest.subarray(value.byteLength);
    this.#bytes += value.byteLength;
    turns.received(value.byteLength);
    return { done: false, value };
  }

  cancel(reason?: unknown): Promise<void> {
    return this.#reader.cancel(reason);
  }
}
