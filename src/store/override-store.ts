import type { Digest } from "../oci/digest.ts";

/**
 * What an operator decided of tags, whatever the rules say.
 *
 * - `release`: a digest is old enough, and where `isUnverified` is set, verified enough.
 * - `hold`: a tag stays where it is, or a digest is given to nobody.
 * - `rollback`: a tag points to a digest that it had before.
 * - `freeze`: tags point where they did at a moment.
 */
export type OverrideKind = "release" | "hold" | "rollback" | "freeze";

export interface Override {
  /** A UUID. Told to other replicas twice, it is still one override. */
  readonly id: string;
  readonly kind: OverrideKind;
  /**
   * An image pattern as in oci/image-pattern.ts. `release`: a digest of a repository. `hold`: that, or a tag.
   * `rollback`: a tag. `freeze`: any.
   */
  readonly pattern: string;
  /** Where the tag is instead (`hold` of a tag, `rollback`). */
  readonly digest?: Digest;
  /** For `freeze`: the moment, in milliseconds of the epoch. */
  readonly asOf?: number;
  /** For `release`: also where its signatures are not as the rules want them. */
  readonly isUnverified?: boolean;
  readonly reason: string;
  /** Who decided it. */
  readonly by: string;
  /** When, in milliseconds of the epoch. */
  readonly since: number;
  /**
   * Its place in the order of all overrides, the same at all replicas: a hybrid logical clock, in milliseconds of the
   * epoch of who decided it, and later than whatever was known there. Absent in those of an earlier version.
   */
  readonly stamp?: number;
  /** From when on it no longer holds. Absent: until it is ended. */
  readonly until?: number;
  /** Set once it was ended before its time. */
  readonly ended?: { readonly at: number; readonly by: string; readonly reason: string };
}

/** Of an override of an earlier version, all that is known is its time by the clock of each replica. */
export function stampOf({ stamp, since }: Pick<Override, "stamp" | "since">): number {
  return stamp ?? since;
}

/**
 * The order of overrides, the latest first: of those that concern a tag, the first one decides. It is total, and depends
 * on nothing that replicas translate into their own clocks.
 */
export function latestFirst(one: Override, other: Override): number {
  const difference = stampOf(other) - stampOf(one);
  if (difference !== 0) return difference;
  return one.id < other.id ? 1 : Number(one.id !== other.id) * -1;
}

/** How many overrides are kept. */
export const MAX_OVERRIDES = 2000;

/** All overrides, also those that have ended, as far as they are kept: of more, those that have ended go first. */
export interface OverrideStore {
  /** The latest first. */
  list(): Promise<Override[]>;
  /** Adds an override or replaces the one of the same id. */
  put(override: Override): Promise<void>;
}
