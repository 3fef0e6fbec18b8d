import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { StayAges } from "../lookup/tag-news.ts";

/** An image that other replicas of this cache were given, with the tags that had it. */
export interface KnownImage {
  readonly digest: Digest;
  /** How long ago it was seen first, in milliseconds; absent if that is known of its tags alone. */
  readonly seenAgeMs?: number;
  readonly tags: readonly { readonly tag: Tag; readonly stays: readonly StayAges[] }[];
}

/**
 * What replicas tell each other of what images are made of, in repositories where that decides what may be had by its
 * digest: a client may ask one of them for a tag, and another one for its layers.
 */
export interface ImageNews {
  /** A client was given a manifest, which was first seen so long ago and is made of these. */
  madeOf(repo: RepositoryRef, manifest: Digest, seenAgeMs: number, parts: readonly Digest[]): void;
  /**
   * The images that a digest is a part of, or is itself: those with tags first. Takes at most a second, and never
   * rejects; empty if nothing is known now.
   */
  imagesWith(repo: RepositoryRef, digest: Digest): Promise<readonly KnownImage[]>;
}
