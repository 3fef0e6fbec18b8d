import type { Extent } from "../../store/extents.ts";
import type { Demand } from "../fetch/segments/part-sizes.ts";
import type { Segments } from "../fetch/segments/segments.ts";

export interface BytesAheadOptions {
  /** How many bytes, from the first one on, followers may read. */
  readonly available: () => number;
  /** What is written ahead of those. */
  readonly extents: () => readonly Extent[];
  /** What receives bytes ahead, while the download runs. */
  readonly segments: () => Segments | undefined;
  /** At least one byte from `first` on. `into` gives memory that is free by now. */
  readonly read: (first: number, end: number, into?: () => Uint8Array) => Promise<Uint8Array>;
}

/** The bytes of a fill ahead of those that were received in order: for readers of a part. */
export class BytesAhead {
  readonly #options: BytesAheadOptions;

  constructor(options: BytesAheadOptions) {
    this.#options = options;
  }

  /** Asks for bytes that are far ahead of those that are available. If they are received, `endFrom` grows. */
  demand(first: number, end: number): Demand {
    if (this.endFrom(first) > first) return "received";
    return this.#options.segments()?.demand(first, end) ?? "refused";
  }

  /** Whether any can be, as far as is known: not from a source that sends only wholes. */
  get isPossible(): boolean {
    return this.#options.segments()?.hasNoRanges !== true;
  }

  /** Over how many connections bytes ahead are being received. */
  get connections(): number {
    return this.#options.segments()?.count ?? 0;
  }

  /** The end of the bytes that can be read from an offset on: the offset itself if there are none. */
  endFrom(offset: number): number {
    const available = this.#options.available();
    if (offset < available) return available;
    const ahead = this.#options.extents().find(({ first, end }) => first <= offset && offset < end);
    return ahead?.end ?? offset;
  }

  /** Bytes from `position` on, where `endFrom` says that there are some. */
  read(position: number, into?: () => Uint8Array): Promise<Uint8Array> {
    return this.#options.read(position, this.endFrom(position), into);
  }
}
