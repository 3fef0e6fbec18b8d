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

  add(first: number, end: number): void {
    if (first >= end) return;
    const before = this.#extents.filter((extent) => extent.end < first);
    const after = this.#extents.filter((extent) => extent.first > end);
    const touched = this.#extents.slice(before.length, this.#extents.length - after.length);
    const merged = {
      first: Math.min(first, touched[0]?.first ?? first),
      end: Math.max(end, touched.at(-1)?.end ?? end),
    };
    this.#extents = [...before, merged, ...after];
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
    const extent = this.#extents.find(({ first, end }) => first <= offset && offset < end);
    return extent?.end ?? offset;
  }

  /** The first gap at or after `offset`, up to `limit`; `undefined` if all of that is there. */
  gapFrom(offset: number, limit: number): Extent | undefined {
    const first = this.endFrom(offset);
    if (first >= limit) return undefined;
    const next = this.#extents.find((extent) => extent.first > first);
    return { first, end: Math.min(limit, next?.first ?? limit) };
  }
}
