import { type Kysely, sql } from "kysely";
import type { LedgerTables } from "./tables.ts";

/**
 * What tags have pointed to, what images are made of, and what operators decided of them. A tag's history is one row, so that its lock is enough
 * for what is read, merged and written; so far, a tag has had what it has now. Replicas of an earlier version write
 * neither table: what they see of a tag is read from its own row.
 */
export async function createHistoryTables(db: Kysely<LedgerTables>): Promise<void> {
  await sql`
    create table tag_history (
      upstream text collate "C", repository text collate "C", tag text collate "C",
      stays jsonb not null,
      seen timestamptz not null,
      primary key (upstream, repository, tag)
    )
  `.execute(db);
  await sql`
    create index tag_history_by_digest on tag_history using gin (stays jsonb_path_ops)
  `.execute(db);
  await sql`
    create table image_parts (
      upstream text collate "C", repository text collate "C", digest text collate "C",
      image text collate "C",
      first_seen timestamptz not null,
      told timestamptz not null,
      primary key (upstream, repository, digest, image)
    )
  `.execute(db);
  await sql`
    create index image_parts_by_image on image_parts (upstream, repository, image)
  `.execute(db);
  await sql`
    create table overrides (
      id text collate "C" primary key,
      order_id text not null,
      content jsonb not null,
      at timestamptz not null,
      is_ended boolean not null,
      over timestamptz,
      tx xid8 not null default pg_current_xact_id()
    )
  `.execute(db);
  await sql`create index overrides_by_change on overrides (tx, id)`.execute(db);
}
