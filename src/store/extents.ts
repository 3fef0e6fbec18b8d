/** Bytes of a file: `first` inclusive, `end` exclusive. Never empty. */
export interface Extent {
  readonly first: number;
  readonly end: number;
}

/** Which bytes of a file are there: extents in order, which neither overlap nor touch each other. */
export class ExtentMap implements Iterable<Extent> {
  #extents: Extent[] = [];

  constructor(extents: Iterable<Extent> = []) {
    for (const { first, end } of extents) this.add(first, end);
  }

  [Symbol.iterator](): Iterator<Extent> {
    return this.#extents[Symbol.iterator]();
  }

  /** How many bytes are there. */
  get bytes(): number {
    return this.#extents.reduce((sum, { first, end }) => sum + end - first, 0);
  }

  /** How many extents there are. */
  get count(): number {
    return this.#extents.length;
  }

  add(first: number, end: number): void {
    if (first >= end) return;
    const from = this.#indexOf((extent) => extent.end >= first);
    const to = this.#indexOf((extent) => extent.first > end);
    const merged = {
      first: Math.min(first, from < to ? (this.#extents[from]?.first ?? first) : first),
      end: Math.max(end, from < to ? (this.#extents[to - 1]?.end ?? end) : end),
    };
    this.#extents.splice(from, to - from, merged);
  }

  /** Forgets the bytes before an offset. */
  removeBefore(offset: number): void {
    this.#extents = this.#extents
      .filter(({ end }) => end > offset)
      .map(({ first, end }) => ({ first: Math.max(first, offset), end }));
  }

  /** Forgets the bytes at and after an offset. */
  removeFrom(offset: number): void {
    this.#extents = this.#extents
      .filter(({ first }) => first < offset)
      .map(({ first, end }) => ({ first, end: Math.min(end, offset) }));
  }

  /** The end of the bytes that are there from `offset` on: `offset` itself if it is not there. */
  endFrom(offset: number): number {
    const extent = this.#extents[this.#indexOf(({ end }) => end > offset)];
    return extent && extent.first <= offset ? extent.end : offset;
  }

  /** The first gap at or after `offset`, up to `limit`; `undefined` if all of that is there. */
  gapFrom(offset: number, limit: number): Extent | undefined {
    const first = this.endFrom(offset);
    if (first >= limit) return undefined;
    const next = this.#extents[this.#indexOf((extent) => extent.first > first)];
    return { first, end: Math.min(limit, next?.first ?? limit) };
  }

  /** The gap in which a byte is, up to `limit`; `undefined` if it is there. */
  gapAt(offset: number, limit: number): Extent | undefined {
    const after = this.gapFrom(offset, limit);
    if (after?.first !== offset) return undefined;
    const before = this.#extents[this.#indexOf(({ first }) => first > offset) - 1];
    return { first: before?.end ?? 0, end: after.end };
  }

  /** Where the extents begin of which something is true that is so of all after them as well. */
  #indexOf(isTrue: (extent: Extent) => boolean): number {
    let [from, to] = [0, this.#extents.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      const extent = this.#extents[middle];
      if (extent && isTrue(extent)) to = middle;
      else from = middle + 1;
    }
    return from;
  }
}
