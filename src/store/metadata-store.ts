import type { Digest } from "../oci/digest.ts";
import type { RepositoryName, Tag, UpstreamName } from "../oci/names.ts";

/** Where something may be seen: a repository of an upstream. */
export interface RepositoryRef {
  readonly upstream: UpstreamName;
  readonly repository: RepositoryName;
}

/** What a tag pointed at when its upstream was last asked. Times are milliseconds of the epoch. */
export interface TagRecord {
  readonly digest: Digest;
  readonly checkedAt: number;
}

export interface Tags {
  get(repo: RepositoryRef, tag: Tag): Promise<TagRecord | undefined>;
  put(repo: RepositoryRef, tag: Tag, record: TagRecord): Promise<void>;
  remove(repo: RepositoryRef, tag: Tag): Promise<void>;
  /** The names that are known of a repository, sorted by bytes. */
  list(repo: RepositoryRef): Promise<Tag[]>;
  /** All of them by upstream, repository and tag, those after `last`. */
  all(limit: number, last?: TagRef): Promise<(TagRef & TagRecord)[]>;
}

/** A tag and where it stands. */
export interface TagRef {
  readonly repo: RepositoryRef;
  readonly tag: Tag;
}

/** A digest that may be seen somewhere. `size`, in bytes, is absent where nothing has told it. */
export interface Link {
  readonly digest: Digest;
  readonly size?: number;
}

export interface Links {
  get(repo: RepositoryRef, digest: Digest): Promise<Link | undefined>;
  /** Adds links; one that exists keeps its size where the new one has none. */
  add(repo: RepositoryRef, links: readonly Link[]): Promise<void>;
  remove(repo: RepositoryRef, digest: Digest): Promise<void>;
  /** Takes a content out of sight in all repositories of an upstream, or of all upstreams. */
  removeAll(digest: Digest, upstream?: UpstreamName): Promise<void>;
  /** Where a content may be seen, at most `limit` of the places. */
  repositoriesOf(digest: Digest, limit: number): Promise<RepositoryRef[]>;
  /** Upstreams in which a content may be seen. */
  upstreams(digest: Digest): Promise<UpstreamName[]>;
  /** Those of the digests, at most 512 of them, that may be seen in an upstream. */
  visibleIn(upstream: UpstreamName, digests: readonly Digest[]): Promise<ReadonlySet<Digest>>;
  /** Digests that may be seen anywhere, after `last`, in order. */
  digests(limit: number, last?: Digest): Promise<Digest[]>;
  /**
   * Takes contents, at most 512 of them, out of sight everywhere, but for those that are stored.
   * Returns how many links went.
   */
  removeUnstored(digests: readonly Digest[]): Promise<number>;
  /** Repositories of an upstream that have any link, after `last`, sorted by bytes. */
  repositories(upstream: UpstreamName, limit: number, last?: string): Promise<RepositoryName[]>;
}

/** A manifest or blob that the store holds (or held: the store has the last word on bytes). */
export interface BlobRecord {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** Set for manifests alone: the Content-Type under which they are served. */
  readonly mediaType?: string;
}

/** A content with its times, in milliseconds of the epoch. */
export interface BlobUse extends BlobRecord {
  readonly storedAt: number;
  readonly usedAt: number;
}

export interface BlobRecords {
  get(digest: Digest): Promise<BlobRecord | undefined>;
  put(content: BlobRecord, now: number): Promise<void>;
  /**
   * Forgets at most 512 of them; those that were stored later than `until`, in milliseconds of the
   * epoch, stay.
   */
  remove(digests: readonly Digest[], until?: number): Promise<void>;
  /** What was used least lately, after `last`. */
  leastRecentlyUsed(limit: number, last?: Pick<BlobUse, "usedAt" | "digest">): Promise<BlobUse[]>;
  /** What was stored before a moment, the oldest first, after `last`. */
  storedBefore(
    moment: number,
    limit: number,
    last?: Pick<BlobUse, "storedAt" | "digest">,
  ): Promise<BlobUse[]>;
  /** All contents by digest, those after `last`. */
  page(limit: number, last?: Digest): Promise<BlobUse[]>;
  /** Those of the digests, at most 512 of them, that are known. */
  find(digests: readonly Digest[]): Promise<BlobUse[]>;
  /**
   * Writes use times, in few transactions; an older time than the known one changes nothing, and
   * neither does one of a content that is not there. Times are milliseconds of the epoch.
   */
  touch(times: ReadonlyMap<Digest, number>): Promise<void>;
  /**
   * Brings back times that are yet to come, as a clock leaves them that was set back: content that
   * has them would never be old. Returns how many had.
   */
  clampTimes(now: number): Promise<number>;
  /** How much is held: contents, and their bytes. It counts (8 ms for 100,000 contents): not for every request. */
  total(): Promise<{ count: number; bytes: number }>;
}

/** What is kept whatever happens. */
export interface Pin {
  /** `docker.io/library/*:*`, as in oci/image-pattern.ts. */
  readonly pattern: string;
  /** `linux/amd64`; none means every platform that is here. */
  readonly platforms: readonly string[];
  /** In milliseconds of the epoch. */
  readonly since: number;
}

export interface Pins {
  /** By pattern. */
  list(): Promise<Pin[]>;
  /** Replaces one of the same pattern. */
  put(pin: Pin): Promise<void>;
  /** Returns whether it was there. */
  remove(pattern: string): Promise<boolean>;
}

/** An answer of an upstream that is a list and no content (tags, referrers), kept to outlive it. */
export interface Listing {
  readonly body: string;
  readonly checkedAt: number;
}

export interface Listings {
  get(repo: RepositoryRef, key: string): Promise<Listing | undefined>;
  put(repo: RepositoryRef, key: string, listing: Listing): Promise<void>;
  /** Forgets those that were checked before a moment, at most so many; returns how many. */
  removeBefore(moment: number, limit: number): Promise<number>;
}

/**
 * Facts: which tag pointed where and when, what may be seen where, what was used.
 *
 * Methods reject with a `Fault` of kind `storage` where the medium fails.
 */
export interface MetadataStore {
  readonly tags: Tags;
  readonly links: Links;
  readonly blobs: BlobRecords;
  readonly listings: Listings;
  readonly pins: Pins;
  /** Grows with every change of tags and links: what was read at the same one is still so. */
  readonly revision: number;
  /** What its facts take on the disk, in bytes; what facts took that are gone is not counted. */
  bytes(): Promise<number>;
  /** Gives back to the disk what facts took that are gone, where that is much. */
  shrink(): Promise<void>;
  close(): Promise<void>;
}
