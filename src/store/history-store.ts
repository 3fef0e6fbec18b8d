import type { Digest } from "../oci/digest.ts";
import type { Tag } from "../oci/names.ts";
import type { RepositoryRef } from "./repository-ref.ts";

/** What is counted of each upstream. All are sums over a period. */
export const FIGURES = [
  /** Responses that could come from the cache, and those that did. */
  "cacheable",
  "from_cache",
  /** GETs of manifests among the latter. */
  "manifests_from_cache",
  /** Bytes of bodies: to clients, and from the upstream. */
  "sent_bytes",
  "fetched_bytes",
  /** By how much responses from the cache were faster than the upstream, in milliseconds. */
  "saved_ms",
  /** Requests to the upstream: answered, not answered or answered with a server's error, and refused by 429. */
  "answered",
  "failed",
  "limited",
  /** Until the headers of all answers, in milliseconds. */
  "answered_ms",
  /** Whole downloads of blobs: their bytes, and how long they took in milliseconds. */
  "downloaded_bytes",
  "downloaded_ms",
] as const;

export type Figure = (typeof FIGURES)[number];

/** What happened with an upstream in a period. */
export type Figures = Readonly<Record<Figure, number>>;

/** Nothing happened. */
export const NO_FIGURES: Figures = {
  cacheable: 0,
  from_cache: 0,
  manifests_from_cache: 0,
  sent_bytes: 0,
  fetched_bytes: 0,
  saved_ms: 0,
  answered: 0,
  failed: 0,
  limited: 0,
  answered_ms: 0,
  downloaded_bytes: 0,
  downloaded_ms: 0,
};

/** What is kept of the disk. */
export interface DiskFigures {
  /** What counts towards `storage.maxSize`, at the end of the period, in bytes. */
  readonly used: number;
  /** In the period, in bytes. */
  readonly evicted: number;
}

/** A minute is kept for a day, an hour for thirty days. In milliseconds. */
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
export const MINUTES_KEPT_MS: number = DAY_MS;
export const HOURS_KEPT_MS: number = 30 * DAY_MS;

/** The length of the periods that are kept, in milliseconds. */
export type Resolution = typeof MINUTE_MS | typeof HOUR_MS;

export const RESOLUTIONS: readonly Resolution[] = [MINUTE_MS, HOUR_MS];

export interface PeriodQuery {
  readonly resolution: Resolution;
  /** In milliseconds of the epoch. */
  readonly from: number;
  /** Periods are added up to steps of this length, a multiple of the resolution, in milliseconds. */
  readonly step: number;
}

/** A step that has any figures. */
export interface HistoryStep {
  /** When it begins: a multiple of the step's length since `from`, in milliseconds of the epoch. */
  readonly at: number;
  readonly figures: Figures;
}

export interface DiskStep extends DiskFigures {
  readonly at: number;
}

/** A client, as it is kept for the list of nodes. */
export interface NodeRecord {
  readonly address: string;
  /** Of its last pull. */
  readonly userAgent: string;
  /** In milliseconds of the epoch; 0 if it never pulled. */
  readonly pulledAt: number;
  /** What it last told of its wiring, as JSON; absent if it never did. */
  readonly report?: string;
}

/** Who pulled an image last, and how often. */
export interface ImageClient {
  readonly repo: RepositoryRef;
  /** The tag, where it is known. */
  readonly reference: Tag | Digest;
  readonly client: string;
  /** In milliseconds of the epoch. */
  readonly pulledAt: number;
  readonly pulls: number;
}

/** Which digest clients got for a tag in an hour. */
export interface TagPulls {
  readonly repo: RepositoryRef;
  readonly tag: Tag;
  /** Absent where it was refused, since it was held. */
  readonly digest?: Digest;
  /** The last time, in milliseconds of the epoch. */
  readonly pulledAt: number;
  readonly pulls: number;
}

/** An image that somebody pulled, and when that was last. */
export type PulledImage = Pick<ImageClient, "repo" | "reference" | "pulledAt">;

/** All that one write adds. */
export interface HistoryBatch {
  /** When the minute begins, in milliseconds of the epoch. */
  readonly minute: number;
  readonly upstreams: ReadonlyMap<string, Figures>;
  readonly disk?: DiskFigures | undefined;
  readonly nodes: readonly NodeRecord[];
  readonly clients: readonly ImageClient[];
  readonly tagPulls?: readonly TagPulls[];
}

/**
 * What happened in the last thirty days, in a bounded number of records. It is told to operators, and
 * nothing else depends on it: a database that is rebuilt begins without.
 */
export interface History {
  /** Adds to what is kept of the minute and its hour, in one transaction. */
  add(batch: HistoryBatch): Promise<void>;
  /**
   * Removes what is too old, and the oldest of what is too much. A clock that is behind what is kept removes
   * nothing for its age.
   */
  prune(now: number): Promise<void>;
  /** When the first minute began of which anything is kept, or its hour; undefined if nothing is. */
  begin(): Promise<number | undefined>;
  /** The upstreams of which anything is kept. */
  upstreams(): Promise<string[]>;
  /** The steps of an upstream, the oldest first. */
  of(upstream: string, query: PeriodQuery): Promise<HistoryStep[]>;
  /** The steps of the disk, the oldest first. */
  disk(query: PeriodQuery): Promise<DiskStep[]>;
  /** The nodes that pulled last, and those that reported, at most `limit`. */
  nodes(limit: number): Promise<NodeRecord[]>;
  /** Who pulled a repository's images, the latest first, at most `limit`. */
  clientsOf(repo: RepositoryRef, limit: number): Promise<ImageClient[]>;
  /** The images that any client pulled since then, in milliseconds of the epoch: by tag, where it is known. */
  pulledSince(moment: number): Promise<PulledImage[]>;
  /**
   * What clients got for tags since a moment, in milliseconds of the epoch: tag by tag, the earliest first, at most
   * `limit`. The latest 50,000 are kept.
   */
  tagPulls(from: number, limit: number): Promise<TagPulls[]>;
  /** The time of the first of them; undefined if there is none. */
  tagPullsBegin(): Promise<number | undefined>;
  /** A tag that points to the digest in its repository, if there is one. */
  tagOf(repo: RepositoryRef, digest: Digest): Promise<Tag | undefined>;
}
