import type { Digest } from "../../oci/digest.ts";

/**
 * What a replica tells and asks where a ledger keeps account of the store's objects, so that the store can be kept
 * within a limit.
 */
export interface SharedObjectNews {
  /**
   * To be called before looking whether the store has a blob, and before writing it. Never rejects.
   *
   * @returns undefined if it must not be written now, since it is being deleted; where the ledger is away, it may be
   */
  claim(digest: Digest): Promise<ObjectClaim | undefined>;
  /** A blob was read from the store, or served here. */
  used(digest: Digest): void;
  /** The store was seen to lack a blob. */
  missing(digest: Digest): void;
  /**
   * Those of the blobs that should be written: the store lacks them, and they were used more recently than what
   * was evicted from it last. Rejects if the ledger is away.
   *
   * @param ages how long ago each was last used, in milliseconds; at most 1000
   */
  wanted(ages: ReadonlyMap<Digest, number>): Promise<ReadonlySet<Digest>>;
  /** Whether the store has a blob, and has it for 15 minutes at least. False where that is not known. Never rejects. */
  isStaying(digest: Digest): Promise<boolean>;
}

/** Lets a blob be written. It is not deleted before it is told to be there, or the claim is too old. */
export interface ObjectClaim {
  /** The blob is in the store now. What there is no room for, or comes too late, is found by the sweep. */
  stored(size: number): void;
}
