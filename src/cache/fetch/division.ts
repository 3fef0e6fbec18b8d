import type { BlobWriter } from "../../store/blob-store.ts";
import type { LineShare } from "./line-share.ts";
import { Segments, type SegmentsOptions } from "./segments.ts";
import type { Source } from "./source.ts";

export interface DivisionOptions extends Pick<
  SegmentsOptions,
  "signal" | "onOpened" | "onProgress"
> {
  /** Without it, a blob is downloaded over one connection. */
  readonly share: LineShare | undefined;
}

/** How a blob is divided between the transfer of its fill and further connections. */
export class Division {
  readonly #options: DivisionOptions;
  #segments: Segments | undefined;

  constructor(options: DivisionOptions) {
    this.#options = options;
  }

  /** What further connections receive; `undefined` until a source has sent a part, as was asked. */
  get segments(): Segments | undefined {
    return this.#segments;
  }

  /** Where the bytes after those of the writer end that nobody else has, or receives. */
  gapEnd({ length, ahead }: BlobWriter, size = Infinity): number {
    const others = this.#segments?.nextAfter(length) ?? Infinity;
    const next = ahead.find(({ first }) => first > length)?.first ?? Infinity;
    return Math.min(others, next, size);
  }

  /** Up to where the fill requests; `undefined` for all that is left. */
  endOfRequest(writer: BlobWriter, size = Infinity): number | undefined {
    const end = Math.min(this.gapEnd(writer, size), writer.length + this.#requestBytes(size));
    return end < size ? end : undefined;
  }

  /**
   * From now on, other connections may receive parts of the blob as well, if it is large.
   *
   * @param end of what the fill is receiving
   */
  begin(source: Source, writer: BlobWriter, end: number, size = Infinity): void {
    const { share, ...options } = this.#options;
    if (!share || this.#segments || !share.divides(size)) return;
    this.#segments = new Segments({ ...options, writer, size, share }, source);
    this.#segments.headTakes(end, source);
    share.join(this.#segments);
  }

  /** Ends all further connections. Resolves once nothing is written any more. */
  async end(): Promise<void> {
    const segments = this.#segments;
    if (!segments) return;
    this.#options.share?.leave(segments);
    await segments.stop();
    this.#segments = undefined;
  }

  #requestBytes(size: number): number {
    const { share } = this.#options;
    if (!share?.divides(size)) return Infinity;
    if (!this.#segments) return share.sizes.first;
    return share.isOpen && !this.#segments.isFast ? this.#segments.segmentBytes : Infinity;
  }
}
