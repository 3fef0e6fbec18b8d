import type { Digest } from "../oci/digest.ts";
import type { Tag } from "../oci/names.ts";
import type { RepositoryRef } from "./repository-ref.ts";

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

/** What tags were seen to point to. It outlives the tag's record, its manifest, and a purge of both. */
export interface TagHistory {
  /** The stays of a tag, the latest first; at most 20. The first one is what the upstream last said. */
  of(repo: RepositoryRef, tag: Tag): Promise<TagStay[]>;
  /**
   * Adds stays that other replicas saw, or that are recovered. One that is known keeps the earliest of its first
   * times and the latest of its last ones.
   */
  add(repo: RepositoryRef, tag: Tag, stays: readonly TagStay[]): Promise<void>;
  /** A client got this digest for the tag, in milliseconds of the epoch. Only the first time is kept. */
  served(repo: RepositoryRef, tag: Tag, digest: Digest, at: number): Promise<void>;
  /** The tags of a repository of which a digest, or any, was seen, in byte order; at most `limit`. */
  tags(repo: RepositoryRef, limit: number, digest?: Digest): Promise<Tag[]>;
}
