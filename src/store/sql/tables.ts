import type { Digest } from "../../oci/digest.ts";
import type { RepositoryName, Tag, UpstreamName } from "../../oci/names.ts";
import type { Figures, Resolution } from "../history-store.ts";
import type { OverrideKind } from "../override-store.ts";
import type { VerificationRecord } from "../verification-store.ts";

/**
 * The tables of the metadata database, as migrations.ts creates them. Names and digests were parsed
 * before they were written, so their columns have the branded types. Times are in milliseconds of the
 * epoch, sizes in bytes.
 */
export interface Tables {
  tags: TagsTable;
  links: LinksTable;
  blobs: BlobsTable;
  listings: ListingsTable;
  access: AccessTable;
  visibility: VisibilityTable;
  pins: PinsTable;
  totals: TotalsTable;
  history: HistoryTable;
  disk_history: DiskHistoryTable;
  nodes: NodesTable;
  image_clients: ImageClientsTable;
  tag_pulls: TagPullsTable;
  tag_history: TagHistoryTable;
  seen_digests: SeenDigestsTable;
  overrides: OverridesTable;
  verifications: VerificationsTable;
  schema_version: SchemaVersionTable;
}

interface TagsTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  tag: Tag;
  digest: Digest;
  checked_at: number;
  /** Absent: as `checked_at`. */
  seen_at: number | null;
  source: string | null;
}

interface LinksTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  digest: Digest;
  size: number | null;
  /** 0 or 1. */
  confirmed: number;
  media_type: string | null;
  /** When it was last added. */
  added_at: number;
}

interface BlobsTable {
  digest: Digest;
  size: number;
  media_type: string | null;
  stored_at: number;
  used_at: number;
}

interface ListingsTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  key: string;
  body: string;
  checked_at: number;
}

interface AccessTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  answered_at: number;
  /** 0 or 1. */
  is_refused: number;
}

interface VisibilityTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  /** 0 or 1. */
  is_public: number;
  asked_at: number;
}

interface PinsTable {
  pattern: string;
  /** Separated by commas. */
  platforms: string;
  since: number;
}

/** Has one row, whose id is 1. Triggers on `blobs` keep it. */
interface TotalsTable {
  id: number;
  block_size: number;
  count: number;
  bytes: number;
  /** The sum of the sizes in blocks, each rounded up. */
  blocks: number;
}

interface HistoryTable extends Figures {
  resolution: Resolution;
  upstream: string;
  start: number;
}

interface DiskHistoryTable {
  resolution: Resolution;
  start: number;
  used: number;
  evicted: number;
}

interface NodesTable {
  address: string;
  user_agent: string;
  pulled_at: number;
  /** JSON. */
  report: string | null;
}

interface ImageClientsTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  reference: Tag | Digest;
  client: string;
  pulled_at: number;
  pulls: number;
}

interface TagPullsTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  tag: Tag;
  /** When it began. */
  hour: number;
  /** Empty: it was refused, since it was held. */
  digest: Digest | "";
  /** The last one. */
  pulled_at: number;
  pulls: number;
}

/** Triggers on `tags` add to it. */
interface TagHistoryTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  tag: Tag;
  /** The latest stay of a tag has the highest. */
  position: number;
  digest: Digest;
  first_seen: number;
  last_seen: number;
  first_served: number | null;
  source: string | null;
}

/** Digests that were asked for by name, and are under no tag. */
interface SeenDigestsTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  digest: Digest;
  seen_at: number;
}

interface OverridesTable {
  id: string;
  kind: OverrideKind;
  pattern: string;
  digest: Digest | null;
  as_of: number | null;
  /** 0 or 1. */
  is_unverified: number;
  reason: string;
  made_by: string;
  since: number;
  /** Null in those of an earlier version. */
  stamp: number | null;
  until: number | null;
  /** These three are set at once. */
  ended_at: number | null;
  ended_by: string | null;
  ended_reason: string | null;
}

interface VerificationsTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  digest: Digest;
  revision: string;
  outcome: VerificationRecord["outcome"];
  detail: string;
  logged_at: number | null;
  verified_at: number;
}

/** Has one row, whose id is 1. */
interface SchemaVersionTable {
  id: number;
  version: number;
}
