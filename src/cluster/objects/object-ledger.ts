import type { Digest } from "../../oci/digest.ts";

/**
 * The objects of the shared store, as the ledger knows them. An object is in one of four states:
 *
 *     absent → here              a replica has put it (`stored`), or a list of the store shows it (`adopt`)
 *     here → going               it was used least recently, and the store is too large (`markLeastRecentlyUsed`)
 *     going → here               it is used, put or pinned again (`used`, `claim`, `stored`, `keep`)
 *     going → deleting           it has been going for the grace period (`takeGoing`)
 *     deleting → absent          it is deleted from the store (`deleted`)
 *
 * No S3 store has a conditional DELETE that can be relied on, so the ledger keeps a PUT and a DELETE of one
 * object apart: who is about to put an object claims it first, and an object that is being deleted cannot
 * be claimed. An object is deleted only while its row says so, and the row stays until the DELETE has
 * succeeded.
 *
 * All moments are the ledger's own: callers tell and hear ages, in milliseconds, never a time of their
 * clocks. Methods reject with an error of the ledger if it is away. Every list of digests or objects has at
 * most `MAX_OBJECTS` elements.
 */
export interface ObjectLedger extends ObjectNews, ObjectLists, ObjectEviction, ObjectUpkeep {}

/** The most digests or objects in one call. */
export const MAX_OBJECTS = 1000;

/** How long an object is going at least before it is deleted: longer than any signed URL of it, and a GET. */
export const GRACE_MS = 15 * 60_000;
/**
 * Who deletes objects has this long. Then, another may take them. S3 refuses a request a quarter of an hour after
 * it was signed: a DELETE of somebody who was stopped in the middle of it cannot arrive later than that.
 */
export const DELETION_MS = 16 * 60_000;
/** A use counts if it is so much later than the last one that counted. So most are not written. */
export const USE_STEP_MS = 10 * 60_000;
/** How long a pinned object is kept after a replica has last said so: replicas may start with empty disks. */
export const KEPT_MS = 7 * 24 * 3_600_000;

/** An object that is in the store. */
export interface StoredObject {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** How long ago it was put there. */
  readonly storedAgo: number;
  /** How long ago it was last used, if that is known to be later. */
  readonly usedAgo?: number;
}

/** What every replica tells and asks. */
export interface ObjectNews {
  /**
   * To be called before objects are put into the store: they are not deleted within the grace period from
   * now on. Returns those that must not be put now, since they are being deleted.
   */
  claim(digests: readonly Digest[]): Promise<ReadonlySet<Digest>>;
  /** Notes that objects are in the store. */
  stored(objects: readonly StoredObject[]): Promise<void>;
  /** Notes how long ago the store was seen to lack objects. Those that were put since stay. */
  lost(seenAgo: ReadonlyMap<Digest, number>): Promise<void>;
  /** Notes when objects were last used. Objects that are not in the store are passed over. */
  used(ages: ReadonlyMap<Digest, number>): Promise<void>;
  /**
   * Those of the digests that should be put into the store: it lacks them, and they were used more
   * recently than what was evicted last.
   */
  wanted(ages: ReadonlyMap<Digest, number>): Promise<ReadonlySet<Digest>>;
  /** Those of the digests that are in the store, and stay there for the grace period at least. */
  staying(digests: readonly Digest[]): Promise<ReadonlySet<Digest>>;
  /** Keeps pinned objects for `KEPT_MS`. */
  keep(digests: readonly Digest[]): Promise<void>;
  /** Objects are pinned no longer. */
  release(digests: readonly Digest[]): Promise<void>;
}

/** An object, as the ledger lists it. */
export interface ListedObject {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** In milliseconds. */
  readonly storedAgo: number;
  readonly usedAgo: number;
  readonly state: "here" | "going" | "deleting";
  readonly isKept: boolean;
}

export interface ObjectCount {
  readonly objects: number;
  readonly bytes: number;
}

/** What the ledger counts of the store. */
export interface ObjectTotals {
  readonly here: ObjectCount;
  /** Going, or being deleted. */
  readonly going: ObjectCount;
}

export interface ObjectLists {
  /** Does not read the objects: the totals are kept. */
  totals(): Promise<ObjectTotals>;
  /** Those of the digests that are known, in whatever state. */
  known(digests: readonly Digest[]): Promise<ReadonlySet<Digest>>;
  /** A page of all objects in order of their digests, after `last`. */
  page(limit: number, last?: Digest): Promise<ListedObject[]>;
}

/** The token of a leader: a later leader has another one, and the ledger refuses that of an earlier one. */
export type Fence = number & { readonly brand: unique symbol };

/** Whether this replica is the one that evicts from the shared store. */
export interface Leadership {
  /** Set while it certainly leads, by its own monotonic clock: it knows without asking. */
  readonly fence: Fence | undefined;
}

export interface Mark {
  /** Objects that are here may take so many bytes together; what is above is marked. */
  readonly above: number;
  readonly limit: number;
}

/** What the leader does to keep the store within its limit. */
export interface ObjectEviction {
  /**
   * Marks the least recently used objects as going, until those that are here take at most `above` bytes,
   * or `limit` are marked. Pinned ones stay. Safe on any replica: marks are made one after the other.
   */
  markLeastRecentlyUsed(mark: Mark): Promise<ObjectCount>;
  /** As `markLeastRecentlyUsed`, without marking and without a limit. */
  countLeastRecentlyUsed(above: number): Promise<ObjectCount>;
  /**
   * Takes objects that have been going for `graceMs`, or which another leader has not deleted in time: the caller
   * has `DELETION_MS` to delete them. None if the fence has passed.
   */
  takeGoing(fence: Fence, limit: number, graceMs?: number): Promise<Digest[]>;
  /**
   * Takes corrupt objects at once, whoever uses them. They may be unknown, or be taken by another: then they are
   * left out.
   */
  takeCorrupt(
    digests: readonly Digest[],
  ): Promise<{ readonly fence: Fence; readonly taken: Digest[] }>;
  /** Removes objects that are deleted from the store, if they are still taken with that fence. */
  deleted(fence: Fence, digests: readonly Digest[]): Promise<ObjectCount>;
  /** Objects that the store refuses to delete, such as locked ones, are kept as if they were pinned. */
  refused(fence: Fence, digests: readonly Digest[]): Promise<void>;
  /** How long objects wait for their deletion beyond the grace period: 0 if none does. */
  overdue(): Promise<number>;
  /** Forgets what was evicted last: whatever the store lacks is wanted. */
  forgetHorizon(): Promise<void>;
}

/** What the leader does once in a while, so that ledger and store do not drift apart. */
export interface ObjectUpkeep {
  /** Adds objects that a list of the store shows, unless they are known. Returns how many were added. */
  adopt(objects: readonly StoredObject[]): Promise<number>;
  /**
   * Objects that are here between two digests, the second included, without those of a list: the store may
   * have lost them. Those that were put lately are left out: a list may not show them yet.
   */
  unlisted(
    after: Digest | undefined,
    until: Digest | undefined,
    listed: readonly Digest[],
  ): Promise<Digest[]>;
  /** Ends the keeping of objects that no replica has said to be pinned for `KEPT_MS`, and future times. */
  tidy(): Promise<void>;
  /** Reads all objects, and corrects the totals by them. */
  recount(): Promise<void>;
  /** Where a task that takes long has arrived, and how long ago it was last done; `undefined` if never. */
  progress(task: Task): Promise<Progress>;
  /** Without a position, the task is done. */
  advance(task: Task, position?: string): Promise<void>;
}

/** What the leader does once in a long while. */
export type Task = "list";

export interface Progress {
  readonly doneAgo: number | undefined;
  readonly position: string | undefined;
}
