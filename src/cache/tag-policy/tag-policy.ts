import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { TagStay } from "../../store/tag-history.ts";

/** Why a tag is not served as its registry says, or is though the rules would have it otherwise. */
export interface Hold {
  /** The digest that is held back; absent if the registry says of none. */
  readonly digest?: Digest;
  readonly because: "too-young" | "unverified" | "held" | "rolled-back" | "frozen";
  /** A sentence for people, without its full stop. */
  readonly text: string;
  /** When it ends by itself, in milliseconds of the epoch. Absent: when something else changes. */
  readonly until?: number;
}

/** A digest that the rules let the tag have. */
export interface Candidate {
  readonly digest: Digest;
  /** What is to be said of it; absent if this is what the registry says, and nothing speaks against it. */
  readonly hold?: Hold;
  /** It is served only where those before it can no longer be had at all, and not where their registry merely fails. */
  readonly isLastResort?: true;
}

/** What a tag may be, by its history: the best one first. */
export interface TagPlan {
  readonly candidates: readonly Candidate[];
  /** Told where there is no candidate, or none of them can be had; absent if nothing is held back. */
  readonly hold?: Hold;
  /** Until when the plan stays the same, in milliseconds of the epoch. */
  readonly until: number;
}

/** Which of the digests that a tag has had are served. */
export interface TagPolicy {
  /** Grows with each change of rules and overrides: what was served before it may be served otherwise now. */
  readonly revision: number;
  /** Whether anything but the registry may decide what the tag is. Nothing is looked up for this. */
  governs(repo: RepositoryRef, tag: Tag): boolean;
  /** Whether an operator has decided where the tag points, so that its registry need not be asked. */
  isFixed(repo: RepositoryRef, tag: Tag): boolean;
  /** @param stays the latest first: what the registry says now, and what it said before */
  plan(repo: RepositoryRef, tag: Tag, stays: readonly TagStay[]): Promise<TagPlan>;
  /**
   * Why a digest must not be served for its signatures; `undefined` if they are as the rules want them.
   *
   * @throws Fault `unverifiable` if that cannot be found out now
   */
  signatureHold(repo: RepositoryRef, digest: Digest, tag?: Tag): Promise<Hold | undefined>;
}
