import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";

/**
 * What other replicas of this cache find out about tags. It only spares questions to upstreams: a replica
 * that hears nothing asks them itself. Ages are in milliseconds, and too high rather than too low.
 */
export interface TagNews {
  /** Where a tag points, as who checked it last said. Takes at most 100 ms, and never rejects. */
  known(
    repo: RepositoryRef,
    tag: Tag,
  ): Promise<{ readonly digest: Digest; readonly ageMs: number } | undefined>;
  /** The upstream was asked so long ago, and said that the tag points to this digest. */
  told(repo: RepositoryRef, tag: Tag, digest: Digest, ageMs: number): void;
  /** The upstream was asked so long ago, and said that there is no such tag. */
  removed(repo: RepositoryRef, tag: Tag, ageMs: number): void;
}
