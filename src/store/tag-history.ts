import type { Digest } from "../oci/digest.ts";
import type { Tag } from "../oci/names.ts";
import type { RepositoryRef, TagRef } from "./repository-ref.ts";

/** How many stays of one tag are told. */
export const MAX_STAYS = 20;

/** A digest that a tag was seen to have, for as long as it had no other one. */
export interface TagStay {
  readonly digest: Digest;
  /** When an upstream was first seen to say so, by any replica, in milliseconds of the epoch. */
  readonly firstSeen: number;
  /** When an upstream last said so. */
  readonly lastSeen: number;
  /** When a client first got this digest for the tag; absent if none did. */
  readonly firstServed?: number;
  /** Who said so first: the host of a registry or mirror, or `replica`; absent if that is not known. */
  readonly source?: string;
}

/** A tag that has had more than one digest. */
export interface MovedTag extends TagRef {
  /** The latest first; at most 20. */
  readonly stays: readonly TagStay[];
}

/**
 * What tags were seen to point to. It outlives the tag's record, its manifest, and a purge of both. `Tags.put`
 * writes it: whatever moves a tag is noted here.
 */
export interface TagHistory {
  /**
   * The stays of a tag, the latest first; at most 20. The first one is what the upstream last said, and the last one
   * the earliest that was seen: of a tag that moves often, those between them are left out (`thinnedStays`).
   */
  of(repo: RepositoryRef, tag: Tag): Promise<TagStay[]>;
  /**
   * The stays of some tags of a repository, as `of` tells them of each, in one statement: it blocks the event loop for as
   * long as there are many. Tags of which nothing is known are left out.
   */
  ofEach(repo: RepositoryRef, tags: readonly Tag[]): Promise<ReadonlyMap<Tag, TagStay[]>>;
  /**
   * When the stays of some tags began that `of` tells, the earliest of each, in milliseconds of the epoch. A long list of
   * tags needs no more of most of them.
   */
  firstSeen(repo: RepositoryRef, tags: readonly Tag[]): Promise<ReadonlyMap<Tag, number>>;
  /**
   * Adds stays that other replicas saw, or that are recovered. One that is known keeps the earliest of its first
   * times and the latest of its last ones.
   */
  add(repo: RepositoryRef, tag: Tag, stays: readonly TagStay[]): Promise<void>;
  /** A client got this digest for the tag, in milliseconds of the epoch. Only the first time is kept. */
  served(repo: RepositoryRef, tag: Tag, digest: Digest, at: number): Promise<void>;
  /** The tags of a repository of which a digest, or any, was seen, in byte order; at most `limit`. */
  tags(repo: RepositoryRef, limit: number, digest?: Digest): Promise<Tag[]>;
  /**
   * A digest was asked for by its name in a repository: when that was first seen there, by itself or under a
   * tag, in milliseconds of the epoch. Of the digests that are known only so, the latest 100,000 are kept.
   */
  digestSeen(repo: RepositoryRef, digest: Digest, at: number): Promise<number>;
  /** The distinct digests that were seen in a repository, under tags or by name: the latest first, at most `limit`. */
  digests(repo: RepositoryRef, limit: number): Promise<Digest[]>;
  /**
   * A page of the tags that have had more than one digest, ordered by upstream, repository and tag.
   *
   * @param last the last tag of the page before; unset for the first page
   */
  moved(limit: number, last?: TagRef): Promise<MovedTag[]>;
  /** Sets times that are in the future to `now`, as `BlobRecords.clampTimes` does. */
  clampTimes(now: number): Promise<void>;
  /**
   * Removes what is too much: 100,000 stays are kept, and as many digests. What was seen longest ago goes first, and
   * of stays those of tags that never moved.
   */
  prune(): Promise<void>;
}
