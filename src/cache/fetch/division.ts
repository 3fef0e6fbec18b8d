import type { BlobWriter } from "../../store/blob-store.ts";
import type { LineShare } from "./line-share.ts";
import { Segments, type SegmentsOptions } from "./segments.ts";

/** Bytes that are there are received again rather than a connection ended for them, if there are so few. */
const SKIPPED_BYTES = 1024 * 1024;

export interface DivisionOptions extends Omit<SegmentsOptions, "share" | "writer"> {
  /** Without it, a blob is downloaded over one connection. */
  readonly share: LineShare | undefined;
  /** Whether the download began for a client that wants a part. */
  readonly isForPart: boolean;
}

/** What of them is a matter of the fill. */
export type FillDivision = Pick<DivisionOptions, "share" | "isForPart" | "yielding">;

/** How a blob is divided between the transfer of its fill and further connections. */
export class Division {
  readonly #options: DivisionOptions;
  #segments: Segments | undefined;
  #isOff = false;
  #isDivided = false;

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
    const { share, ...options } = this.#options;
    this.#isDivided = false;
    if (!share || this.#isOff) return;
    const onOpened: SegmentsOptions["onOpened"] = (transfer) => {
      this.#isDivided = true;
      options.onOpened(transfer);
    };
    this.#segments = new Segments({ ...options, onOpened, writer, share });
  }

  /** The parts were not those of one blob: it is downloaded as a whole from now on. */
  giveUp(): void {
    if (!this.#isDivided) return;
    this.#isOff = true;
    this.#options.share?.distrust();
  }

  /** The source has sent a part, as was asked: further connections may receive others, if the blob is large. */
  proven(): void {
    const { share, size } = this.#options;
    this.#isDivided = true;
    if (this.#segments && share && (size() ?? 0) > share.sizes.whole) share.join(this.#segments);
  }

  /** Where the bytes after those of the writer end that nobody else has, or receives. */
  gapEnd({ length, ahead }: BlobWriter): number {
    const next = ahead.find(({ first }) => first > length)?.first ?? Infinity;
    return Math.min(next, this.#othersAfter(length), this.#size);
  }

  /** Where a body has to end that goes on beyond `gapEnd`. */
  endOfBody({ length, ahead }: BlobWriter): number {
    const next = ahead.find(({ first, end }) => first > length && end - first >= SKIPPED_BYTES);
    return Math.min(next?.first ?? Infinity, this.#othersAfter(length));
  }

  /** Up to where the fill requests; `undefined` for all that is left. */
  endOfRequest(writer: BlobWriter): number | undefined {
    const end = Math.min(this.gapEnd(writer), writer.length + this.#requestBytes());
    return end < this.#size ? end : undefined;
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

  #othersAfter(offset: number): number {
    return this.#segments?.nextAfter(offset) ?? Infinity;
  }

  #requestBytes(): number {
    const { share, isForPart } = this.#options;
    const segments = this.#segments;
    if (!share || !segments || share.limit === 0) return Infinity;
    const { whole, first, min } = share.sizes;
    const isPartial = isForPart || segments.hasReaders;
    if (share.isDistrusted && !isPartial) return Infinity;
    // An unknown size is told by the response to the first part.
    if (this.#size <= (isPartial ? min : whole)) return Infinity;
    if (!this.#isDivided) return isPartial ? min : first;
    return isPartial || (share.isOpen && !segments.isFast) ? segments.segmentBytes : Infinity;
  }
}
