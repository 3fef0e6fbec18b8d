import type { Digest } from "../../oci/digest.ts";
import type { RepositoryName, Tag, UpstreamName } from "../../oci/names.ts";
import type { Figures, Resolution } from "../history-store.ts";

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
  former_tags: FormerTagsTable;
  schema_version: SchemaVersionTable;
}

interface TagsTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  tag: Tag;
  digest: Digest;
  checked_at: number;
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

/** A trigger on `tags` adds to it. */
interface FormerTagsTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  tag: Tag;
  digest: Digest;
  confirmed_at: number;
  moved_at: number;
}

/** Has one row, whose id is 1. */
interface SchemaVersionTable {
  id: number;
  version: number;
}
