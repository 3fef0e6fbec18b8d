import type { Extent, ExtentMap } from "../../../store/extents.ts";
import { FAST_RATE } from "./line-share.ts";
import type { SegmentSizes } from "./segment-sizes.ts";

/** A segment takes about so many round trips: fewer, and waiting for its first byte shows. */
const ROUND_TRIPS = 10;

/** What becomes of bytes that a client asks for: they are received, or may be later, or are not. */
export type Demand = "received" | "later" | "refused";

/** How much of a blob is requested at once, by what its requests have shown. */
export class PartSizes {
  readonly #sizes: SegmentSizes;
  #segment: number;
  /** At least, of what clients ask for. */
  #demanded: number;
  #isFast = false;

  constructor(sizes: SegmentSizes) {
    this.#sizes = sizes;
    this.#segment = sizes.min;
    this.#demanded = Math.ceil(sizes.min / 16);
  }

  /** In bytes. */
  get segment(): number {
    return this.#segment;
  }

  /** Whether one connection is fast enough. */
  get isFast(): boolean {
    return this.#isFast;
  }

  /** What a request has shown: seconds to its first byte, and its rate after that, in bytes per second. */
  measured(roundTrip: number, rate: number): void {
    if (!Number.isFinite(rate)) return;
    this.#isFast = rate >= FAST_RATE;
    const { min, max } = this.#sizes;
    const perRoundTrip = Math.floor(rate * roundTrip);
    this.#segment = Math.max(min, Math.min(max, perRoundTrip * ROUND_TRIPS));
    // A request costs a round trip: what comes in as long a time is worth one.
    this.#demanded = Math.max(min / 16, Math.min(min / 4, perRoundTrip));
  }

  /**
   * The next segment of a gap.
   *
   * @param share what each connection still has to receive. The last segments are shorter, so that all end at
   *   about the same time
   */
  next({ first, end }: Extent, share: number): Extent {
    const bytes = Math.min(this.#segment, Math.max(this.#sizes.min / 4, Math.ceil(share)));
    return { first, end: Math.min(end, first + bytes) };
  }

  /**
   * The part that is requested for a client that asks for bytes. Lazy pullers read some kilobytes here and there,
   * and come back for their neighbours, so it is larger; its beginning must not be long in coming.
   *
   * @param taken what need not be requested
   * @returns `undefined` if the first byte is taken
   */
  around(taken: ExtentMap, { first, end }: Extent, size: number): Extent | undefined {
    const gap = taken.gapAt(first, size);
    if (!gap) return undefined;
    const { min, max } = this.#sizes;
    const step = Math.ceil(min / 64);
    const wanted = Math.max(end, first + this.#demanded);
    return {
      first: Math.max(gap.first, Math.floor(first / step) * step),
      end: Math.min(gap.end, first + max, Math.ceil(wanted / step) * step),
    };
  }
}
