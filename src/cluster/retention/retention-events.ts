import type { ObjectCount } from "../objects/object-ledger.ts";

/** What is told of the shared store's upkeep. */
export interface SharedRetentionEvents {
  /** Objects were deleted to keep the store below its limit. */
  evicted(count: ObjectCount): void;
  /** The store is above its limit, and all that is left in it is pinned or locked. Told in each round. */
  fullOfPins(pinnedBytes: number, maxSize: number): void;
  /** The store does not let this replica delete. Nothing is evicted until it does. Told in each round. */
  deletionRefused(reason: string): void;
  /** The store was listed from its beginning to its end. */
  listed(found: Reconciled): void;
  /** Background work failed. It is retried. */
  failed(task: string, error: unknown): void;
}

/** What came of comparing a list of the store with the ledger. */
export interface Reconciled {
  /** Objects in the list. */
  readonly listed: number;
  /** Of them, those that the ledger did not know. */
  readonly adopted: number;
  /** Objects that the ledger knew, and the store has lost. */
  readonly lost: number;
  /** Objects that the list lacked though the store has them: its lists cannot be relied on. */
  readonly concealed: number;
}
