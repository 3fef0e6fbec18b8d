import type { Digest } from "../../oci/digest.ts";
import type { RepositoryName, Tag, UpstreamName } from "../../oci/names.ts";
import type { OrderId } from "../ledger/facts.ts";

/**
 * The tables of the ledger, as migrations.ts creates them. Replicas have parsed names and digests before they
 * wrote them, so the columns have the branded types. Every time is PostgreSQL's own. Transaction ids are text
 * here: they say what changed since a look, see `changes.ts`.
 */
export interface LedgerTables {
  replicas: ReplicasTable;
  tags: TagsTable;
  tag_history: TagHistoryTable;
  image_parts: ImagePartsTable;
  manifests: ManifestsTable;
  pins: PinsTable;
  purges: PurgesTable;
  overrides: OverridesTable;
  limits: LimitsTable;
  leaders: LeadersTable;
  schema_version: SchemaVersionTable;
}

interface ReplicasTable {
  id: string;
  /** A run of the replica. */
  instance: string;
  url: string;
  version: string;
  started: Date;
  expires: Date;
  /** Its last look, from which it goes on when it is started again. */
  heard: string | null;
}

interface TagsTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  tag: Tag;
  /** Null: its upstream said that there is no such tag. */
  digest: Digest | null;
  /** What the last statement that wrote the row found in it. */
  previous: Digest | null;
  checked: Date;
  moved: string;
}

interface TagHistoryTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  tag: Tag;
  /** See `postgres/tag-stays.ts`. */
  stays: unknown;
  /** When it was told last. */
  seen: Date;
}

/** That a manifest is made of a digest, in repositories where that decides what may be had. */
interface ImagePartsTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  digest: Digest;
  image: Digest;
  /** When the manifest was. */
  first_seen: Date;
  told: Date;
}

interface ManifestsTable {
  upstream: UpstreamName;
  repository: RepositoryName;
  digest: Digest;
  size: number;
  media_type: string;
  seen: Date;
}

/** The last pin or unpin of each pattern. */
interface PinsTable {
  pattern: string;
  id: OrderId;
  is_pinned: boolean;
  platforms: string[];
  at: Date;
  tx: string;
}

interface PurgesTable {
  id: OrderId;
  pattern: string;
  at: Date;
  tx: string;
}

interface OverridesTable {
  id: string;
  /** The last order that has changed it. */
  order_id: OrderId;
  /** An override without its id, whose times are in milliseconds of the epoch. */
  content: unknown;
  /** When that order was given. */
  at: Date;
  is_ended: boolean;
  /** From when on it holds no more. */
  over: Date | null;
  tx: string;
}

interface LimitsTable {
  upstream: UpstreamName;
  host: string;
  account: string;
  kind: "rest" | "budget";
  /** Of a rest; empty for a budget. */
  requests: string;
  remaining: number | null;
  quota: number | null;
  window_s: number | null;
  until: Date;
  tx: string;
}

interface LeadersTable {
  role: string;
  holder: string;
  fence: number;
  expires: Date;
}

/** Has one row, whose id is 1. */
interface SchemaVersionTable {
  id: number;
  version: number;
}
