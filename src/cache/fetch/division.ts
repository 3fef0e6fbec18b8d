import { Fault, type FaultKind } from "../../oci/fault.ts";
import type { BlobWriter } from "../../store/blob-store.ts";
import type { Extent } from "../../store/extents.ts";
import type { LineShare } from "./segments/line-share.ts";
import { Segments, type SegmentsOptions } from "./segments/segments.ts";
import { type OpenTransfer, openSource } from "./open-source.ts";
import { isShort } from "./segments/short-parts.ts";
import type { Source, Transfer } from "./source.ts";
import { Versions } from "./segments/versions.ts";

/** Bytes that are there are received again rather than a connection ended for them, if there are so few. */
const SKIPPED_BYTES = 1024 * 1024;

/** How many short parts a source may send, one after the other, until it is asked for the whole. */
const MAX_SHORT = 3;

/** How a source answers that does not send a part of what it would send as a whole. */
const REFUSALS: ReadonlySet<FaultKind> = new Set(["invalid-range", "upstream-invalid-response"]);

export interface DivisionOptions extends Omit<SegmentsOptions, "share" | "writer" | "versions"> {
  /** Without it, a blob is downloaded over one connection. */
  readonly share: LineShare | undefined;
  /** What the client wants for which the download began, if that is a part. */
  readonly part: Extent | undefined;
}

/** What of them is a matter of the fill. */
export type FillDivision = Pick<DivisionOptions, "share" | "part" | "yielding">;

/** How a blob is divided between the transfer of its fill and further connections. */
export class Division {
  readonly #options: DivisionOptions;
  readonly versions = new Versions();
  #segments: Segments | undefined;
  #isOff = false;
  #isDivided = false;
  /** The end of what was requested last. */
  #requestedEnd = Infinity;
  #shortParts = 0;

  constructor(options: DivisionOptions) {
    this.#options = options;
  }

  /** What further connections receive, while the download runs. */
  get segments(): Segments | undefined {
    return this.#segments;
  }

  /** Whether parts of the blob came, or may have come, by different responses. */
  get isDivided(): boolean {
    return this.#isDivided;
  }

  begin(writer: BlobWriter): void {
    this.#isDivided = false;
    this.#open(writer);
  }

  /** Another source sends what is left: what further connections receive is ended, until it is divided again. */
  async renew(writer: BlobWriter): Promise<void> {
    await this.end();
    this.#open(writer);
  }

  #open(writer: BlobWriter): void {
    const { share, ...options } = this.#options;
    const { versions } = this;
    if (!share || this.#isOff) return;
    const onOpened: SegmentsOptions["onOpened"] = (transfer) => {
      this.#isDivided = true;
      options.onOpened(transfer);
    };
    this.#segments = new Segments({ ...options, onOpened, versions, writer, share });
  }

  /** The parts are not those of one blob: it is downloaded as a whole from now on. */
  async giveUp(): Promise<void> {
    this.#isOff = true;
    // A first part that does not fit says nothing of the others: what is wrong may be the manifest's size.
    if (this.#isDivided) this.#options.share?.distrust();
    await this.end();
  }

  /** What was written ahead, and may be appended. */
  absorb(writer: BlobWriter): Promise<boolean> {
    return this.#isOff ? Promise.resolve(false) : writer.absorb();
  }

  /** Whether what comes next was written ahead. */
  isNextAhead({ length, ahead }: BlobWriter): boolean {
    return !this.#isOff && ahead[0]?.first === length;
  }

  /**
   * Opens what comes next. If that is no part which fits to the others, it opens the whole, which the source may
   * well have. What is near sends all that is missing.
   *
   * @throws Fault
   */
  async open(source: Source, writer: BlobWriter, signal: AbortSignal): Promise<OpenTransfer> {
    const { part } = this.#options;
    if (source.near) return openSource(source, writer.length, signal);
    if (this.#shortParts > MAX_SHORT) return openSource(source, 0, signal, undefined, "own");
    const end = this.#endOfRequest(writer);
    this.#requestedEnd = end ?? this.#size;
    const isPart = end !== undefined || this.#isDivided;
    const isRest = writer.length > 0;
    this.#segments?.headTakes(end ?? Infinity, source);
    // At once: the client would wait for the first response, and then for its own.
    if (part && end !== undefined && part.first >= end) {
      this.#segments?.demand(part.first, part.end);
    }
    try {
      const transfer = await openSource(source, writer.length, signal, end, "own");
      if (!isPart || this.#fits(transfer)) return transfer;
      await transfer.reader.cancel();
    } catch (error) {
      if (!(isPart || isRest) || !this.#isRefusal(error, writer) || signal.aborted) throw error;
    }
    await this.giveUp();
    return openSource(source, 0, signal, undefined, "own");
  }

  /** Opens what comes next once more; `undefined` if the source sends something else. */
  async openBeside(
    source: Source,
    writer: BlobWriter,
    signal: AbortSignal,
  ): Promise<OpenTransfer | undefined> {
    const offset = writer.length;
    const end = this.#endOfRequest(writer);
    const transfer = await openSource(source, offset, signal, end, "extra");
    const size = transfer.size ?? this.#size;
    const isNext = transfer.start === offset && (size === this.#size || this.#size === Infinity);
    if (isNext && this.#fits(transfer)) return transfer;
    await transfer.reader.cancel();
    return undefined;
  }

  #isRefusal(error: unknown, { length }: BlobWriter): boolean {
    if (!(error instanceof Fault)) return false;
    // All may be there already, if the size is unknown: the digest will tell.
    const isEnd = error.detail.kind === "invalid-range" && length > 0 && this.#size === Infinity;
    return !isEnd && REFUSALS.has(error.detail.kind);
  }

  #fits(transfer: Transfer): boolean {
    const { size } = transfer;
    // A source without ranges sends the whole, whatever it is asked for.
    if (transfer.end === undefined) return true;
    if (size !== undefined && this.#size !== Infinity && size !== this.#size) return false;
    return (size !== undefined || this.#size !== Infinity) && this.versions.fit(transfer);
  }

  /** The transfer can be used. If it is a part, further connections may receive others of a large blob. */
  accepted(transfer: Transfer, source: Source): void {
    const { share, size } = this.#options;
    if (source.near) return;
    this.versions.note(transfer);
    if (transfer.end === undefined || this.#isOff) return;
    this.#isDivided = true;
    this.#segments?.headTakes(transfer.end, source);
    if (this.#segments && share && (size() ?? 0) > share.sizes.whole) share.join(this.#segments);
  }

  /** A part has been received. From a source whose parts are short, nothing but the whole is requested soon. */
  async received(transfer: Transfer): Promise<void> {
    this.#shortParts = isShort(transfer, this.#requestedEnd) ? this.#shortParts + 1 : 0;
    if (this.#shortParts <= MAX_SHORT) return;
    this.#isOff = true;
    await this.end();
  }

  /** Where a body has to end that goes on beyond the bytes that nobody else has, or receives. */
  endOfBody({ length, ahead }: BlobWriter): number {
    if (this.#isOff) return Infinity;
    const next = ahead.find(({ first, end }) => first > length && end - first >= SKIPPED_BYTES);
    return Math.min(next?.first ?? Infinity, this.#othersAfter(length));
  }

  /** Ends all further connections. Resolves once nothing is written any more. */
  async end(): Promise<void> {
    const segments = this.#segments;
    if (!segments) return;
    this.#options.share?.leave(segments);
    await segments.stop();
    this.#segments = undefined;
  }

  get #size(): number {
    return this.#options.size() ?? Infinity;
  }

  /** Up to where the fill requests; `undefined` for all that is left. */
  #endOfRequest({ length, ahead }: BlobWriter): number | undefined {
    if (this.#isOff) return undefined;
    const next = ahead.find(({ first }) => first > length)?.first ?? Infinity;
    const end = Math.min(next, this.#othersAfter(length), length + this.#requestBytes(length));
    return end < this.#size ? end : undefined;
  }

  #othersAfter(offset: number): number {
    return this.#segments?.nextAfter(offset) ?? Infinity;
  }

  #requestBytes(offset: number): number {
    const { share, part, readers } = this.#options;
    const segments = this.#segments;
    if (!share || !segments) return Infinity;
    const { whole, first, min } = share.sizes;
    const isPartial = part !== undefined || segments.hasReaders;
    if (share.limit === 0 && !isPartial) return Infinity;
    if (share.isDistrusted && !isPartial) return Infinity;
    // An unknown size is told by the response to the first part.
    if (this.#size <= (isPartial ? min : whole)) return Infinity;
    if (!this.#isDivided) return isPartial ? min : first;
    // While it waits for its readers, no more than that is on its way.
    const isAwaiting = (readers?.reach(offset) ?? Infinity) !== Infinity;
    return isPartial || isAwaiting || (share.isOpen && !segments.sizes.isFast)
      ? segments.sizes.segment
      : Infinity;
  }
}
