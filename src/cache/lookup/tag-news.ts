import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { TagStay } from "../../store/tag-history.ts";

/** A stay (store/tag-history.ts) whose times are ages in milliseconds, since replicas do not share a clock. */
export interface StayAges extends Pick<TagStay, "digest" | "source"> {
  readonly firstSeenAgeMs: number;
  readonly lastSeenAgeMs: number;
}

/** @param now in milliseconds of the epoch */
export function stayOfAges({ digest, source, ...ages }: StayAges, now: number): TagStay {
  const seen = { firstSeen: now - ages.firstSeenAgeMs, lastSeen: now - ages.lastSeenAgeMs };
  return source === undefined ? { digest, ...seen } : { digest, ...seen, source };
}

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
  /**
   * What a tag was seen to point to, by any replica: the latest first, at most 20. A purge leaves it. Takes at most
   * a second, and never rejects.
   *
   * @returns undefined if that cannot be known now
   */
  history(repo: RepositoryRef, tag: Tag): Promise<readonly StayAges[] | undefined>;
  /**
   * The upstream was asked so long ago, and said that the tag points to this digest.
   *
   * @param source who said so: the host of a registry or mirror
   */
  told(repo: RepositoryRef, tag: Tag, digest: Digest, ageMs: number, source?: string): void;
  /** The upstream was asked so long ago, and said that there is no such tag. */
  removed(repo: RepositoryRef, tag: Tag, ageMs: number): void;
}
