const MIB = 1024 * 1024;

/** How large blobs are divided, in bytes. */
export interface SegmentSizes {
  /** Blobs up to this size are downloaded over one connection. */
  readonly whole: number;
  /** What is requested first: it shows whether the source supports ranges, and how fast it is. */
  readonly first: number;
  /** Of a segment, except the last ones. */
  readonly min: number;
  readonly max: number;
}

export const SEGMENT_SIZES: SegmentSizes = {
  whole: 32 * MIB,
  first: 8 * MIB,
  min: 4 * MIB,
  max: 16 * MIB,
};
