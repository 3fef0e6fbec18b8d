import type { BlobWriter } from "../../store/blob-store.ts";
import { type Extent, ExtentMap } from "../../store/extents.ts";
import { Fault } from "../../oci/fault.ts";
import { FAST_RATE, type LineShare, type LineUser } from "./line-share.ts";
import type { ChunkReader, Source, Transfer } from "./source.ts";

/** A segment takes about so many round trips: fewer, and waiting for its first byte shows. */
const ROUND_TRIPS = 10;
/** The most connections of one blob, the first one included. */
const MAX_CONNECTIONS = 8;
/** What is written at once: smaller writes cost more than they wait. */
const WRITE_BYTES = 128 * 1024;
/** More extents than that are no download, but many small reads: those are not kept. */
const MAX_EXTENTS = 1024;

export interface SegmentsOptions {
  readonly writer: BlobWriter;
  /** Of the blob, in bytes. */
  readonly size: number;
  readonly signal: AbortSignal;
  readonly share: LineShare;
  /** Called for each transfer that brings bytes of the blob. */
  readonly onOpened: (transfer: Transfer) => void;
  /** Called when bytes were written ahead, and when a segment has ended. */
  readonly onProgress: (bytes: number) => void;
}

interface Running extends Extent {
  hasReceived: boolean;
}

/**
 * Downloads parts of a blob ahead of its fill, over further connections. Whatever goes wrong with one only
 * ends it: the fill then downloads its bytes as all others, and reports what is wrong.
 */
export class Segments implements LineUser {
  readonly #options: SegmentsOptions;
  readonly #running = new Set<Running>();
  readonly #abort = new AbortController();
  readonly #work = new Set<Promise<void>>();
  #source: Source;
  /** What the fill itself is receiving: up to this offset. */
  #headEnd = 0;
  #segmentBytes: number;
  #isFast = false;

  constructor(options: SegmentsOptions, source: Source) {
    this.#options = options;
    this.#source = source;
    this.#segmentBytes = options.share.sizes.min;
    options.signal.addEventListener("abort", () => this.#abort.abort(options.signal.reason), {
      once: true,
    });
  }

  get isReceiving(): boolean {
    return [...this.#running].every(({ hasReceived }) => hasReceived);
  }

  /** Whether one connection is fast enough. */
  get isFast(): boolean {
    return this.#isFast;
  }

  /** How many bytes are requested at once. */
  get segmentBytes(): number {
    return this.#segmentBytes;
  }

  /** The fill receives the bytes up to `end`, from this source. */
  headTakes(end: number, source: Source): void {
    this.#headEnd = end;
    this.#source = source;
  }

  /** Where the next bytes after an offset begin that are being received; `undefined` if there are none. */
  nextAfter(offset: number): number | undefined {
    const firsts = [...this.#running].map(({ first }) => first).filter((first) => first > offset);
    return firsts.length === 0 ? undefined : Math.min(...firsts);
  }

  /** Whether the byte at an offset is being received. */
  covers(offset: number): boolean {
    return [...this.#running].some(({ first, end }) => first <= offset && offset < end);
  }

  /** What a request has shown: seconds to its first byte, and its rate after that, in bytes per second. */
  measured(roundTrip: number, rate: number): void {
    if (!Number.isFinite(rate)) return;
    this.#isFast = rate >= FAST_RATE;
    const { min, max } = this.#options.share.sizes;
    const bytes = Math.floor(rate * roundTrip * ROUND_TRIPS);
    this.#segmentBytes = Math.max(min, Math.min(max, bytes));
  }

  tryConnect(): boolean {
    const { size, writer, share } = this.#options;
    const from = Math.max(writer.length, this.#headEnd);
    const gap = this.#taken(from).gapFrom(from, size);
    if (!gap || this.#isFast || this.#isFull || !share.take(false)) return false;
    // The last ones are shorter, so that all end at about the same time.
    const part = Math.ceil((size - from) / (this.#running.size + 2));
    const bytes = Math.min(this.#segmentBytes, Math.max(share.sizes.min / 4, part));
    this.#start({ first: gap.first, end: Math.min(gap.end, gap.first + bytes) });
    return true;
  }

  /**
   * A client wants these bytes now, which are far ahead of the fill.
   *
   * @returns whether they are being received
   */
  demand(first: number, end: number): boolean {
    if (this.covers(first)) return true;
    const { writer, share } = this.#options;
    const gap = this.#taken(writer.length).gapFrom(first, end);
    if (gap?.first !== first || this.#isFull || writer.ahead.length >= MAX_EXTENTS) return false;
    if (!share.take(true)) return false;
    this.#start({ first, end: Math.min(gap.end, first + share.sizes.max) });
    return true;
  }

  /** Ends all connections. Resolves once nothing is written any more. */
  async stop(): Promise<void> {
    this.#abort.abort(new Fault({ kind: "cancelled", reason: "the download has ended" }));
    await Promise.all(this.#work);
  }

  get #isFull(): boolean {
    return this.#running.size + 1 >= MAX_CONNECTIONS || this.#abort.signal.aborted;
  }

  /** What is there, or is being received by others than the fill itself. */
  #taken(prefix: number): ExtentMap {
    const taken = new ExtentMap(this.#options.writer.ahead);
    taken.add(0, prefix);
    for (const { first, end } of this.#running) taken.add(first, end);
    return taken;
  }

  #start(extent: Extent): void {
    const running: Running = { ...extent, hasReceived: false };
    this.#running.add(running);
    const work = this.#run(running);
    this.#work.add(work);
    void work.then(() => this.#work.delete(work));
  }

  async #run(running: Running): Promise<void> {
    const { share, onProgress } = this.#options;
    try {
      await this.#receive(running);
    } catch {
      if (!this.#abort.signal.aborted) share.trouble();
    }
    this.#running.delete(running);
    onProgress(0);
    share.release();
  }

  async #receive(running: Running): Promise<void> {
    const { size, onOpened } = this.#options;
    const { first, end } = running;
    const transfer = await this.#source.open(first, this.#abort.signal, end);
    const reader = transfer.body.getReader();
    try {
      if (transfer.start !== first || transfer.end === undefined) {
        throw new RangeError("the source does not support ranges");
      }
      if (transfer.size !== undefined && transfer.size !== size) {
        throw new RangeError(`it announced ${transfer.size} bytes instead of ${size}`);
      }
      onOpened(transfer);
      await this.#write(running, reader);
    } finally {
      await reader.cancel().catch(() => {});
    }
  }

  async #write(running: Running, reader: ChunkReader): Promise<void> {
    const { writer, share, onProgress } = this.#options;
    let position = running.first;
    let chunks: Uint8Array[] = [];
    let gathered = 0;
    const write = async (): Promise<void> => {
      if (gathered === 0) return;
      await writer.writeAhead(position, chunks);
      position += gathered;
      onProgress(gathered);
      [chunks, gathered] = [[], 0];
    };
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (!value) continue;
        running.hasReceived = true;
        share.received(value.byteLength);
        if (position + gathered + value.byteLength > running.end) {
          throw new RangeError("it sent more than was requested");
        }
        chunks.push(value);
        gathered += value.byteLength;
        if (gathered >= WRITE_BYTES) await write();
      }
    } finally {
      await write();
    }
  }
}
