/** The last bytes of a blob that are withheld until its digest was verified. */
export const WITHHELD_TAIL = 64 * 1024;

/** Where followers continue by themselves, from the source, after a fill could not be stored. */
export interface ResumePoint {
  /** Length in bytes of the beginning of the blob that can still be read from the fill. */
  readonly length: number;
  /** Has hashed that beginning. It is shared: copy it before use. */
  readonly hasher: Bun.CryptoHasher;
}
