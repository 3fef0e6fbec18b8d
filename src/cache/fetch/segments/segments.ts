import { Fault, isLocalFault } from "../../../oci/fault.ts";
import type { BlobWriter } from "../../../store/blob-store.ts";
import { type Extent, ExtentMap } from "../../../store/extents.ts";
import type { LineShare, LineUser } from "./line-share.ts";
import { OwnRequest } from "./own-request.ts";
import { type Demand, PartSizes } from "./part-sizes.ts";
import { RunningSegment } from "./running-segment.ts";
import { receiveSegment } from "./segment.ts";
import type { Readers } from "../readers.ts";
import type { Source, Transfer, TransferUse } from "../source.ts";
import { isTransient, toFault } from "../transient.ts";
import type { Versions } from "./versions.ts";
import type { Yielding } from "../yielding.ts";

/** The most connections of one blob, the first one included. */
const MAX_CONNECTIONS = 8;
/** More extents than that are no download, but many small reads: those are not kept. */
const MAX_EXTENTS = 1024;
/** How long a connection that becomes free is kept for a client that waits for one, in milliseconds. */
const KEPT_MS = 500;
/** How long after a segment has failed, or got no answer, none is tried, in milliseconds. */
const PAUSE_MS = 10_000;
export interface SegmentsOptions {
  readonly writer: BlobWriter;
  /** Of the blob, in bytes, once it is known. */
  readonly size: () => number | undefined;
  /** Then further connections would bring nothing. */
  readonly isDiskSlow: () => boolean;
  readonly signal: AbortSignal;
  readonly share: LineShare;
  /** Set if no client has asked for the blob yet. */
  readonly yielding?: Yielding | undefined;
  readonly versions: Versions;
  /** Called for each transfer that brings bytes of the blob. */
  readonly onOpened: (transfer: Transfer) => void;
  /** Called when bytes were written ahead, and when a segment has ended. */
  readonly onProgress: (bytes: number) => void;
  /** How far ahead of the fill segments may go; by default, to the end. Clients may read beyond. */
  readonly readers?: Pick<Readers, "reach"> | undefined;
}

/**
 * Downloads parts of a blob ahead of its fill, over further connections. Whatever goes wrong with one only
 * ends it: the fill then downloads its bytes as all others, and reports what is wrong.
 */
export class Segments implements LineUser {
  readonly sizes: PartSizes;
  readonly #options: SegmentsOptions;
  readonly #running = new Set<RunningSegment>();
  readonly #work = new Set<Promise<void>>();
  /** Of the fill. */
  readonly #own: OwnRequest;
  #isStopped = false;
  #source: Source | undefined;
  #hasNoRanges = false;
  #hasReaders = false;
  #failedAt = -Infinity;
  /** When a client last got no connection. */
  #lackedAt = -Infinity;

  constructor(options: SegmentsOptions) {
    this.#options = options;
    const { now, sizes } = options.share;
    this.#own = new OwnRequest(now, sizes.max);
    this.sizes = new PartSizes(sizes);
    options.signal.addEventListener("abort", () => this.#abort(options.signal.reason), {
      once: true,
    });
  }

  /** How many further connections it has. */
  get count(): number {
    return this.#running.size;
  }

  get isReceiving(): boolean {
    return [...this.#running].every(({ received }) => received > 0);
  }

  get rank(): number {
    return this.#isAhead ? 1 : 0;
  }

  /** The connection of a download that no client asked for is a further one itself. */
  get own(): number | undefined {
    return this.#isAhead ? 0 : undefined;
  }

  get isHeldBack(): boolean {
    return this.#source?.isHeldBack ?? false;
  }

  /** Whether the source has sent something else than a part. */
  get hasNoRanges(): boolean {
    return this.#hasNoRanges;
  }

  /** Whether clients ask for parts. */
  get hasReaders(): boolean {
    return this.#hasReaders;
  }

  /** The fill receives the bytes up to `end`, from this source. */
  headTakes(end: number, source: Source): void {
    const { writer, share } = this.#options;
    this.#own.begin(writer.length, end);
    share.receives(this);
    this.#source = source;
  }

  /** The fill has received the bytes up to `offset`. */
  headReached(offset: number): void {
    this.#own.reached(offset);
  }

  /** Where the next bytes after an offset begin that are being received. */
  nextAfter(offset: number): number {
    const firsts = [...this.#running].map(({ first }) => first);
    return Math.min(Infinity, ...firsts.filter((first) => first > offset));
  }

  /** Whether the byte at an offset is being received. */
  covers(offset: number): boolean {
    return this.#at(offset) !== undefined;
  }

  tryConnect(): boolean {
    const { size: sizeOf, isDiskSlow, yielding, writer, share, readers } = this.#options;
    const [size, far] = [sizeOf() ?? 0, readers?.reach(writer.length) ?? Infinity];
    const from = Math.max(writer.length, this.#own.end);
    const gap = this.#taken(from).gapFrom(from, size);
    if (!gap || this.sizes.isFast || this.#isFull || isDiskSlow() || yielding?.isPaused)
      return false;
    if (this.#source?.hasRoom === false || this.#isPausing) return false;
    const left = Math.min((size - from) / (this.#running.size + 2), far / 4);
    const part = this.sizes.next(gap, left);
    if (part.end > writer.length + far) return false;
    if (share.now() < this.#lackedAt + KEPT_MS || !share.take(false)) return false;
    void this.#start(part);
    return true;
  }

  /** A client wants these bytes now, which are far ahead of the fill. */
  demand(first: number, end: number): Demand {
    const { writer, share } = this.#options;
    this.#hasReaders = true;
    this.hurry(first);
    if (this.covers(first) || this.#own.isSoonAt(first)) return "received";
    if (this.#hasNoRanges || this.#isPausing) return "refused";
    if (!this.#source || writer.ahead.length >= MAX_EXTENTS) return "refused";
    const part = this.#partAround({ first, end });
    // Bytes that are there, and not yet told.
    if (!part) return "later";
    if (!this.#isFull && share.take(true)) {
      void this.#start(part);
      return "received";
    }
    if (this.#source.hasRoom === false) {
      this.#own.want({ first, end });
      return "received";
    }
    this.#lackedAt = share.now();
    return share.limit === 0 ? "refused" : "later";
  }

  /** Whether a client waits for bytes ahead that no further connection can receive. */
  get isOwnWanted(): boolean {
    return this.#own.isWanted;
  }

  /** Receives those over the fill's own connection, between its requests; `undefined` if there are none. */
  takeTurn(): Promise<void> | undefined {
    const wanted = this.#own.takeWanted();
    const part = wanted && !this.#hasNoRanges ? this.#partAround(wanted) : undefined;
    return part && this.#start(part, "own");
  }

  /** The fill or a client waits for the byte at an offset: what receives it is ended if it is much slower than others. */
  hurry(offset: number): void {
    const running = this.#at(offset);
    // The connection is not to blame for a limit.
    if (!running || this.isHeldBack) return;
    const { share } = this.#options;
    if (running.isLate(offset, share.ratePerConnection, share.sizes.min / 4)) {
      // The next one may have to wait as long for its first byte.
      if (running.received === 0) this.#failedAt = share.now();
      running.abort.abort(new Fault({ kind: "cancelled", reason: "the connection is too slow" }));
    }
  }

  /** Ends all connections. Resolves once nothing is written any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#abort(new Fault({ kind: "cancelled", reason: "the download has ended" }));
    await Promise.all(this.#work);
  }

  #abort(reason: unknown): void {
    for (const { abort } of this.#running) abort.abort(reason);
  }

  get #isAhead(): boolean {
    return this.#options.yielding?.isAsked === false;
  }

  get #isFull(): boolean {
    const isStopped = this.#isStopped || this.#options.signal.aborted;
    return isStopped || this.#running.size + 1 >= MAX_CONNECTIONS;
  }

  get #isPausing(): boolean {
    return this.#options.share.now() < this.#failedAt + PAUSE_MS;
  }

  #at(offset: number): RunningSegment | undefined {
    return [...this.#running].find(({ first, end }) => first <= offset && offset < end);
  }

  /** What is requested for a client that waits for bytes ahead; `undefined` if the first one is taken. */
  #partAround(wanted: Extent): Extent | undefined {
    const { writer, size } = this.#options;
    const taken = this.#taken(Math.max(writer.length, this.#own.at));
    return this.sizes.around(taken, wanted, size() ?? Infinity);
  }

  /** What is there, or is being received by others than the fill itself. */
  #taken(prefix: number): ExtentMap {
    const taken = new ExtentMap(this.#options.writer.ahead);
    taken.add(0, prefix);
    for (const { first, end } of this.#running) taken.add(first, end);
    return taken;
  }

  #start(extent: Extent, use: TransferUse = "extra"): Promise<void> {
    const running = new RunningSegment(extent, use, this.#options.share.now);
    this.#running.add(running);
    const work = this.#run(running);
    this.#work.add(work);
    return work.then(() => void this.#work.delete(work));
  }

  async #run(running: RunningSegment): Promise<void> {
    const { share, onProgress } = this.#options;
    try {
      await this.#receive(running);
    } catch (error) {
      if (!running.abort.signal.aborted) this.#failed(running, toFault(error));
    }
    this.#running.delete(running);
    onProgress(0);
    if (running.use === "extra") share.release();
  }

  #failed({ received }: RunningSegment, fault: Fault): void {
    const { share } = this.#options;
    this.#hasNoRanges ||= fault.detail.kind === "upstream-invalid-response";
    if (received === 0) this.#failedAt = share.now();
    // Neither this machine's faults nor what a client asks for say anything of the upstream.
    if (isLocalFault(fault) || fault.detail.kind === "invalid-range") return;
    if (received === 0) share.trouble(isTransient(fault));
    else share.broke();
  }

  async #receive(running: RunningSegment): Promise<void> {
    const { writer, share, versions, onOpened, onProgress, size } = this.#options;
    if (!this.#source) return;
    await receiveSegment({
      writer,
      source: this.#source,
      extent: running,
      use: running.use,
      size: size(),
      signal: running.abort.signal,
      checkVersion: (transfer) => versions.check(transfer),
      onOpened,
      onReading: () => running.reads(),
      onReceived: (bytes) => {
        running.gets(bytes);
        share.received(bytes);
      },
      onWritten: onProgress,
    });
  }
}
