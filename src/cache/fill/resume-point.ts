/** Bytes at the end that nobody gets before the digest is known to be right. */
export const WITHHELD_TAIL = 64 * 1024;

/** Where readers go on by themselves after a fill that could not be stored. */
export interface ResumePoint {
  /** Of the content, in bytes; its beginning of this length was readable. */
  readonly length: number;
  /** Of that beginning. It is shared: take a copy. */
  readonly hasher: Bun.CryptoHasher;
}
