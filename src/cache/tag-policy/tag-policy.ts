import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { TagStay } from "../../store/tag-history.ts";

/** Why a tag is not served as its registry says. */
export interface Hold {
  /** The digest that is held back. */
  readonly digest: Digest;
  readonly because: "too-young" | "unverified" | "held" | "rolled-back" | "frozen";
  /** A sentence for people, without its full stop: `node:24 moved 4 h ago; …`. */
  readonly text: string;
  /** When it ends by itself, in milliseconds of the epoch. Absent: when something else changes. */
  readonly until?: number;
}

/** A digest that the rules let the tag have. */
export interface Candidate {
  readonly digest: Digest;
  /** Absent if this is what the registry says. */
  readonly hold?: Hold;
}

/** What a tag may be, by its history: the best one first. */
export interface TagPlan {
  readonly candidates: readonly Candidate[];
  /** Told where there is no candidate, or none of them can be had. */
  readonly hold?: Hold;
  /** Until when the plan stays the same, in milliseconds of the epoch. */
  readonly until: number;
}

/** Which of the digests that a tag has had are served. By default, the one that its registry says. */
export interface TagPolicy {
  /** Whether anything but the registry may decide it. Nothing is looked up for this. */
  governs(repo: RepositoryRef, tag: Tag): boolean;
  /** @param stays the latest first: what the registry says now, and what it said before */
  plan(repo: RepositoryRef, tag: Tag, stays: readonly TagStay[], now: number): Promise<TagPlan>;
}
