import { type Kysely, sql } from "kysely";

/** In how many rows the totals are kept, so that replicas seldom wait for each other's. */
const SHARDS = 16;

/**
 * A migration of the ledger: creates the tables of the shared store's objects.
 *
 * Triggers keep the totals, for adding up two million rows takes longer than all else of an eviction. Each
 * fires once per statement: a row would be written as often as it changes otherwise.
 */
export async function createObjectTables<Tables>(db: Kysely<Tables>): Promise<void> {
  // Digests are compared by their bytes, as a store lists them, whatever the database's language is.
  await sql`
    create table objects (
      digest text collate "C" primary key,
      size int8 not null,
      stored timestamptz not null,
      used timestamptz not null,
      going_since timestamptz,
      deleting_since timestamptz,
      deleter int8,
      kept_until timestamptz
    ) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)
  `.execute(db);
  await sql`
    create index objects_by_use on objects (used, digest)
    where going_since is null and kept_until is null
  `.execute(db);
  await sql`
    create index objects_going on objects (going_since) where going_since is not null
  `.execute(db);
  await sql`
    create index objects_kept on objects (kept_until) where kept_until is not null
  `.execute(db);
  await sql`
    create table upkeep (task text collate "C" primary key, done timestamptz, position text)
  `.execute(db);
  // Whoever takes corrupt objects, on an operator's command, does not lead. Fences of leaders are above 0.
  await sql`create sequence takers increment -1 start -1`.execute(db);
  await keepTotals(db);
}

async function keepTotals<Tables>(db: Kysely<Tables>): Promise<void> {
  await sql`
    create table object_totals (
      shard int2 primary key,
      here int8 not null default 0,
      here_bytes int8 not null default 0,
      going int8 not null default 0,
      going_bytes int8 not null default 0
    ) with (fillfactor = 50)
  `.execute(db);
  await sql`
    insert into object_totals (shard) select generate_series(0, ${sql.lit(SHARDS - 1)})
  `.execute(db);
  const difference = (sign: "+" | "-", rows: string) => {
    const by = sql.raw(sign);
    return sql`
      select
        more.here ${by} count(*) filter (where going_since is null),
        more.here_bytes ${by} coalesce(sum(size) filter (where going_since is null), 0),
        more.going ${by} count(*) filter (where going_since is not null),
        more.going_bytes ${by} coalesce(sum(size) filter (where going_since is not null), 0)
      into more.here, more.here_bytes, more.going, more.going_bytes from ${sql.raw(rows)}
    `;
  };
  await sql`
    create function count_objects() returns trigger language plpgsql set search_path from current as $$
    declare
      more object_totals := row(0, 0, 0, 0, 0);
    begin
      if tg_op <> 'INSERT' then ${difference("-", "old_rows")}; end if;
      if tg_op <> 'DELETE' then ${difference("+", "new_rows")}; end if;
      if more <> row(0, 0, 0, 0, 0)::object_totals then
        update object_totals as total set
          here = total.here + more.here,
          here_bytes = total.here_bytes + more.here_bytes,
          going = total.going + more.going,
          going_bytes = total.going_bytes + more.going_bytes
        where shard = pg_backend_pid() % ${sql.lit(SHARDS)};
      end if;
      return null;
    end $$
  `.execute(db);
  await sql`
    create trigger objects_inserted after insert on objects
    referencing new table as new_rows for each statement execute function count_objects()
  `.execute(db);
  await sql`
    create trigger objects_updated after update on objects
    referencing old table as old_rows new table as new_rows
    for each statement execute function count_objects()
  `.execute(db);
  await sql`
    create trigger objects_deleted after delete on objects
    referencing old table as old_rows for each statement execute function count_objects()
  `.execute(db);
}
