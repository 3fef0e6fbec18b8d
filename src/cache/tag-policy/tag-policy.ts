import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { TagStay } from "../../store/tag-history.ts";
import type { Looking } from "./verifier.ts";

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

/** The stays of some tags of a repository, of each the latest first. */
export type Histories = ReadonlyMap<Tag, readonly TagStay[]>;

/** Which of the digests that a tag has had are served. */
export interface TagPolicy {
  /** Grows with each change of rules and overrides: what was served before it may be served otherwise now. */
  readonly revision: number;
  /** Whether anything but the registry may decide what the tag is. Nothing is looked up for this. */
  governs(repo: RepositoryRef, tag: Tag): boolean;
  /** Whether an operator has decided where the tag points, so that its registry need not be asked. */
  isFixed(repo: RepositoryRef, tag: Tag): boolean;
  /**
   * @param stays the latest first: what the registry says now, and what it said before
   * @param looking for signatures, which may make a digest older; by default, `never`
   */
  plan(
    repo: RepositoryRef,
    tag: Tag,
    stays: readonly TagStay[],
    looking?: Looking,
  ): Promise<TagPlan>;
  /** The plans of some tags. Nothing is looked for: what is recorded is read at once for all of them. */
  knownPlans(repo: RepositoryRef, histories: Histories): Promise<ReadonlyMap<Tag, TagPlan>>;
  /**
   * Why a digest must not be served for its signatures; `undefined` if they are as the rules want them.
   *
   * @param looking by default, `wait`
   * @throws Fault `unverifiable` if that cannot be found out now
   */
  signatureHold(
    repo: RepositoryRef,
    digest: Digest,
    tag?: Tag,
    looking?: Looking,
  ): Promise<Hold | undefined>;
  /**
   * Why an image must not be served by a tag that is one of signatures; `undefined` if it is old enough.
   *
   * @param firstSeen in milliseconds of the epoch
   */
  imageHold(repo: RepositoryRef, tag: Tag, digest: Digest, firstSeen: number): Hold | undefined;
  /** Whether digests of a repository that are asked for by name may be held. */
  guards(repo: RepositoryRef): boolean;
  /** Whether any tag of a repository may be served otherwise than its registry says. */
  mayHold(repo: RepositoryRef): boolean;
  /** Whether what belongs to no image that is known here is held. */
  holdsUnknown(repo: RepositoryRef): boolean;
  /**
   * Why a digest must not be had by its name.
   *
   * @param firstSeen in milliseconds of the epoch; absent: whatever its age is
   */
  digestHold(repo: RepositoryRef, digest: Digest, firstSeen?: number): Hold | undefined;
  /**
   * Whether lists leave a tag out, as far as that follows from when the first of its digests was seen.
   *
   * @param firstSeen in milliseconds of the epoch; absent: never
   * @returns undefined if `hidden` has to say, with all that the tag has had
   */
  hidesByAge(repo: RepositoryRef, tag: Tag, firstSeen: number | undefined): boolean | undefined;
  /** Those of some tags of a repository that its lists leave out. */
  hidden(repo: RepositoryRef, histories: Histories): Promise<ReadonlySet<Tag>>;
  /** Whether lists of tags of a repository may leave any out. */
  hidesAny(repo: RepositoryRef): boolean;
}

/** Nothing decides but the registries. */
export const AS_REGISTRIES_SAY: TagPolicy = {
  revision: 0,
  governs: () => false,
  isFixed: () => false,
  plan: async (_repo, _tag, stays) => asIsSaid(stays),
  knownPlans: async (_repo, histories) =>
    new Map([...histories].map(([tag, stays]) => [tag, asIsSaid(stays)])),
  signatureHold: async () => undefined,
  imageHold: () => undefined,
  guards: () => false,
  mayHold: () => false,
  holdsUnknown: () => false,
  digestHold: () => undefined,
  hidesByAge: () => false,
  hidden: async () => new Set(),
  hidesAny: () => false,
};

function asIsSaid([current]: readonly TagStay[]): TagPlan {
  return { candidates: current ? [{ digest: current.digest }] : [], until: Infinity };
}
