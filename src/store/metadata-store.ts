import type { Digest } from "../oci/digest.ts";
import type { RepositoryName, Tag, UpstreamName } from "../oci/names.ts";
import type { History } from "./history-store.ts";
import type { OverrideStore } from "./override-store.ts";
import type { RepositoryRef, TagRef } from "./repository-ref.ts";
import type { TagHistory } from "./tag-history.ts";
import type { VerificationStore } from "./verification-store.ts";
import type { Visibility } from "./visibility.ts";

export type { RepositoryRef, TagRef };

/** What a tag pointed at when its upstream was last asked. */
export interface TagRecord {
  readonly digest: Digest;
  /** When the upstream last confirmed it, in milliseconds of the epoch. The tag's TTL starts here. */
  readonly checkedAt: number;
  /** When an upstream was first seen to say so, if it was not then. */
  readonly seenAt?: number;
  /** Who said so: the host of a registry or mirror, or `replica`. */
  readonly source?: string;
}

/** The records of tags, by repository and tag. */
export interface Tags {
  get(repo: RepositoryRef, tag: Tag): Promise<TagRecord | undefined>;
  /** Adds a record or replaces the tag's earlier one. The tag's history has it as well. */
  put(repo: RepositoryRef, tag: Tag, record: TagRecord): Promise<void>;
  /** Removes a record; does nothing if there is none. */
  remove(repo: RepositoryRef, tag: Tag): Promise<void>;
  /** The recorded tags of a repository, all of them, in byte order. */
  list(repo: RepositoryRef): Promise<Tag[]>;
  /**
   * A page of all records, ordered by upstream, repository and tag.
   *
   * @param limit the most records in a page
   * @param last the last record of the page before; unset for the first page
   */
  all(limit: number, last?: TagRef): Promise<(TagRef & TagRecord)[]>;
}

/** Two moments in milliseconds of the epoch, and all between them. */
export interface Period {
  readonly from: number;
  readonly until: number;
}

/** A digest that a repository gives access to. */
export interface Link {
  readonly digest: Digest;
  /** Of the blob, in bytes; absent if no manifest or response has given it yet. */
  readonly size?: number;
  /**
   * Whether the upstream gave the blob, or answered for it. Otherwise the link is only claimed: a
   * manifest names the digest, which anybody can write who knows it.
   */
  readonly confirmed?: boolean;
  /** Set where that was for another repository of the upstream, and not for this one. Never written. */
  readonly isConfirmedElsewhere?: true;
  /**
   * The Content-Type with which the upstream gave the manifest; absent for other blobs. It need not be in
   * the bytes: another registry may give the same ones another type.
   */
  readonly manifestType?: string;
}

/**
 * Which digests are visible in which repositories. A confirmed link grants a client of that repository
 * access to the blob; a claimed one says its size alone. Neither implies that the blob is stored.
 */
export interface Links {
  /** The link; confirmed if any link of the digest in the same upstream is, since content came from it. */
  get(repo: RepositoryRef, digest: Digest): Promise<Link | undefined>;
  /**
   * Adds links, all or none of them. An existing link keeps its size and its media type if the new one
   * has none, and stays confirmed. A digest may be named more than once, as in an image that uses a layer twice.
   *
   * @param now by default the current time, in milliseconds of the epoch
   */
  add(repo: RepositoryRef, links: readonly Link[], now?: number): Promise<void>;
  /** Removes a link; does nothing if there is none. */
  remove(repo: RepositoryRef, digest: Digest): Promise<void>;
  /** Removes a digest's links in all repositories of an upstream, or of all upstreams. */
  removeAll(digest: Digest, upstream?: UpstreamName): Promise<void>;
  /** At most `limit` of the repositories in which a digest is visible, ordered by upstream and name. */
  repositoriesOf(digest: Digest, limit: number): Promise<RepositoryRef[]>;
  /** The upstreams in which a digest is visible, in no particular order. */
  upstreams(digest: Digest): Promise<UpstreamName[]>;
  /**
   * Those of the digests that are visible in any repository of an upstream.
   *
   * @param digests at most 512
   */
  visibleIn(upstream: UpstreamName, digests: readonly Digest[]): Promise<ReadonlySet<Digest>>;
  /** A page of all digests that are visible anywhere, in order, after `last`. */
  digests(limit: number, last?: Digest): Promise<Digest[]>;
  /**
   * Removes all links of those digests that have no `BlobRecord`, atomically: a blob that is stored
   * meanwhile keeps its links. Returns how many links were removed.
   *
   * @param digests at most 512
   * @param young links that were last added in this period are kept
   */
  removeUnstored(digests: readonly Digest[], young: Period): Promise<number>;
  /** A page of the repositories of an upstream that have any link, in byte order, after `last`. */
  repositories(upstream: UpstreamName, limit: number, last?: string): Promise<RepositoryName[]>;
}

/** A manifest or blob that is stored, as recorded; the `BlobStore` is authoritative for the bytes. */
export interface BlobRecord {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
  /** Set for manifests only: as what their bytes are read. Links say with which type they are served. */
  readonly mediaType?: string;
}

/** A blob's record with its times, in milliseconds of the epoch. */
export interface BlobUse extends BlobRecord {
  /** When it was stored. */
  readonly storedAt: number;
  /** Its last access, to within the interval at which accesses are written. */
  readonly usedAt: number;
}

/** What is stored, by the records of blobs. */
export interface BlobTotal {
  readonly count: number;
  /** The sum of their sizes. */
  readonly bytes: number;
  /** The same, of whole blocks: what their files take on the disk. */
  readonly diskBytes: number;
}

/** The records of stored blobs, by digest. */
export interface BlobRecords {
  get(digest: Digest): Promise<BlobRecord | undefined>;
  /**
   * Adds a record or replaces the earlier one, stored and accessed at `now`, in milliseconds of the
   * epoch. An earlier media type stays if the new record has none.
   */
  put(blob: BlobRecord, now: number): Promise<void>;
  /**
   * Removes records.
   *
   * @param digests at most 512
   * @param until leaves records of blobs that were stored later, in milliseconds of the epoch: one moment for all,
   *   or one for each
   */
  remove(digests: readonly Digest[], until?: number | ReadonlyMap<Digest, number>): Promise<void>;
  /** A page of the records in LRU order: the least recently used first, after `last`. */
  leastRecentlyUsed(limit: number, last?: Pick<BlobUse, "usedAt" | "digest">): Promise<BlobUse[]>;
  /**
   * A page of the records of blobs that were stored before a moment, in milliseconds of the epoch:
   * the oldest first, after `last`.
   */
  storedBefore(
    moment: number,
    limit: number,
    last?: Pick<BlobUse, "storedAt" | "digest">,
  ): Promise<BlobUse[]>;
  /** A page of all records, ordered by digest, after `last`. */
  page(limit: number, last?: Digest): Promise<BlobUse[]>;
  /**
   * The records of those digests that have one, in no particular order.
   *
   * @param digests at most 512
   */
  find(digests: readonly Digest[]): Promise<BlobUse[]>;
  /**
   * Writes last-access times, in milliseconds of the epoch, in few transactions. A time that is older
   * than the recorded one, or of a digest without a record, changes nothing.
   */
  touch(times: ReadonlyMap<Digest, number>): Promise<void>;
  /**
   * Sets times that are in the future to `now`, in milliseconds of the epoch. A clock that was set
   * back leaves such times, and a blob that has one would never become old. Returns how many times
   * were changed.
   */
  clampTimes(now: number): Promise<number>;
  /** How many blobs were used after a moment, in milliseconds of the epoch. */
  usedAfter(moment: number): Promise<number>;
  /**
   * The number of records and the sums of their sizes, once all writes that were requested before are done.
   *
   * @param blockSize the file system's, in bytes
   */
  total(blockSize: number): Promise<BlobTotal>;
}

/** Images that are never evicted. */
export interface Pin {
  /** An image pattern such as `docker.io/library/*:*`, as in oci/image-pattern.ts. */
  readonly pattern: string;
  /** For example `linux/amd64`; an empty list means every platform that is stored. */
  readonly platforms: readonly string[];
  /** When it was pinned, in milliseconds of the epoch. */
  readonly since: number;
}

/** The pins, by pattern. */
export interface Pins {
  /** All pins, ordered by pattern. */
  list(): Promise<Pin[]>;
  /** Adds a pin or replaces the one of the same pattern. */
  put(pin: Pin): Promise<void>;
  /** Returns whether the pattern was pinned. */
  remove(pattern: string): Promise<boolean>;
}

/** What an upstream last said about access to a repository. */
export interface AccessRecord {
  /** When it last gave something of the repository, in milliseconds of the epoch. */
  readonly answeredAt: number;
  /** Whether it has refused access since, for longer than that is borne. */
  readonly isRefused: boolean;
}

/** What upstreams last said about access, by repository. */
export interface Access {
  get(repo: RepositoryRef): Promise<AccessRecord | undefined>;
  /** Adds a record or replaces the repository's earlier one. */
  put(repo: RepositoryRef, record: AccessRecord): Promise<void>;
  /**
   * Removes at most `limit` records of repositories that are not refused and were last answered for
   * before a moment, in milliseconds of the epoch. Returns how many were removed.
   */
  removeBefore(moment: number, limit: number): Promise<number>;
}

/** A list response of an upstream (tags, referrers), kept to be served when the upstream fails. */
export interface Listing {
  readonly body: string;
  /** When the upstream sent it, in milliseconds of the epoch. */
  readonly checkedAt: number;
}

/** The cached list responses, by repository and a key that names the list. */
export interface Listings {
  get(repo: RepositoryRef, key: string): Promise<Listing | undefined>;
  /** Adds a response or replaces the key's earlier one. */
  put(repo: RepositoryRef, key: string, listing: Listing): Promise<void>;
  /**
   * Removes at most `limit` responses that were checked before a moment, in milliseconds of the
   * epoch. Returns how many were removed.
   */
  removeBefore(moment: number, limit: number): Promise<number>;
}

/**
 * Everything that is known about blobs besides their bytes: where tags point and when that was
 * checked, which digests are visible in which repositories, when blobs were last accessed.
 *
 * All methods may be called concurrently. Each write is atomic, except `touch` and `clampTimes`,
 * which work in batches. Once its promise has resolved, every later read sees the write, and it
 * survives a crash of the process; a power cut may lose the latest writes. Methods reject with a
 * `Fault` of kind `no-space` if the disk or a quota is full, and of kind `storage` if the
 * database fails otherwise.
 */
export interface MetadataStore {
  readonly tags: Tags;
  readonly links: Links;
  readonly blobs: BlobRecords;
  readonly listings: Listings;
  readonly access: Access;
  readonly visibility: Visibility;
  readonly pins: Pins;
  readonly history: History;
  readonly tagHistory: TagHistory;
  readonly overrides: OverrideStore;
  readonly verifications: VerificationStore;
  /**
   * Grows with each change of tags, links and what tags were before, when it begins and when it has ended. What was read from
   * them at one revision is still valid while the revision is the same.
   */
  readonly revision: number;
  /** What the records take on the disk, in bytes; space of removed records is not counted. */
  bytes(): Promise<number>;
  /** Returns the space of removed records to the file system, if there is much of it. */
  shrink(): Promise<void>;
  /** Waits for pending writes and closes the store. Calls after this one reject. */
  close(): Promise<void>;
}
