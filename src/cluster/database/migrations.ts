import { type Kysely, sql } from "kysely";
import { SCHEMA } from "./connection.ts";
import { createHistoryTables } from "./history-tables.ts";
import { createObjectTables } from "../objects/object-tables.ts";
import type { LedgerTables } from "./tables.ts";

type Migration = (db: Kysely<LedgerTables>) => Promise<void>;

/**
 * All migrations, in order. They only add: replicas of an earlier version go on using the tables meanwhile. A
 * released migration is never changed, and a release adds one at most. There are no down migrations.
 */
const MIGRATIONS: readonly Migration[] = [createTables, createHistoryTables];

/** The version of the schema that this program makes. */
export const SCHEMA_VERSION: number = MIGRATIONS.length;

/** So much newer a schema may be: replicas of one cluster are updated one after the other. */
const MIXED_VERSIONS = 1;
/** Of the lock that lets one replica migrate: any number, as long as it is always this. */
const MIGRATING = 1_701_737_573;
const MIGRATION_MS = 60_000;

/** Programs that are much newer use the database. Nothing in it was changed. */
export class NewerLedgerError extends Error {
  override readonly name = "NewerLedgerError";

  constructor(readonly found: number) {
    super(
      `its schema has version ${found}, and this version supports versions up to ${SCHEMA_VERSION + MIXED_VERSIONS}: run the newer version here too`,
    );
  }
}

/**
 * Brings the schema to this program's version, unless it is. Replicas that start at once wait for the one that
 * does so; a migration happens whole or not at all.
 *
 * @throws NewerLedgerError
 */
export async function migrateLedger(db: Kysely<LedgerTables>): Promise<void> {
  if ((await foundVersion(db)) >= SCHEMA_VERSION) return;
  await db.transaction().execute(async (transaction) => {
    await sql`set local statement_timeout = ${sql.lit(MIGRATION_MS)}`.execute(transaction);
    await sql`select pg_advisory_xact_lock(${sql.lit(MIGRATING)})`.execute(transaction);
    const found = await foundVersion(transaction);
    if (found >= SCHEMA_VERSION) return;
    await sql`set local synchronous_commit = on`.execute(transaction);
    await migrateFrom(found, transaction);
  });
}

/**
 * Looks whether a replica may do what it has to in a database: of what is tried, nothing stays.
 *
 * @returns the version of the schema that is there, 0 if there is none
 * @throws NewerLedgerError
 */
export async function tryLedger(db: Kysely<LedgerTables>): Promise<number> {
  const transaction = await db.startTransaction().execute();
  try {
    const found = await foundVersion(transaction);
    if (found < SCHEMA_VERSION) await migrateFrom(found, transaction);
    else await transaction.updateTable("schema_version").set({ version: found }).execute();
    await lockForWriting(transaction);
    return found;
  } finally {
    await transaction.rollback().execute();
  }
}

async function migrateFrom(found: number, db: Kysely<LedgerTables>): Promise<void> {
  if (found === 0) await createSchema(db);
  for (const migration of MIGRATIONS.slice(found)) await migration(db);
  await db.updateTable("schema_version").set({ version: SCHEMA_VERSION }).execute();
}

/** It needs the permission to write, and keeps nobody else from writing. */
async function lockForWriting(db: Kysely<LedgerTables>): Promise<void> {
  const { rows } = await sql<{ readonly tablename: string }>`
    select tablename from pg_tables where schemaname = ${SCHEMA}
  `.execute(db);
  const tables = rows.map(({ tablename }) => sql.table(`${SCHEMA}.${tablename}`));
  await sql`lock table ${sql.join(tables)} in row exclusive mode`.execute(db);
}

/**
 * The version of the schema that is there.
 *
 * @returns 0 if there is none
 * @throws NewerLedgerError
 */
export async function foundVersion(db: Kysely<LedgerTables>): Promise<number> {
  // Not `to_regclass`, which may not see yet what another connection has committed.
  const { rows } = await sql`
    select from pg_tables where schemaname = ${SCHEMA} and tablename = 'schema_version'
  `.execute(db);
  if (rows.length === 0) return 0;
  // Named with its schema: of one that the user may not enter, that is the error.
  const named = db.withSchema(SCHEMA).selectFrom("schema_version").select("version");
  const row = await named.executeTakeFirst();
  const found = row?.version ?? 0;
  if (found > SCHEMA_VERSION + MIXED_VERSIONS) throw new NewerLedgerError(found);
  return found;
}

async function createSchema(db: Kysely<LedgerTables>): Promise<void> {
  // Whoever may not create schemas can be given one.
  const { rows } = await sql`select from pg_namespace where nspname = ${SCHEMA}`.execute(db);
  if (rows.length === 0) await sql`create schema ${sql.ref(SCHEMA)}`.execute(db);
  await sql`
    create table schema_version (id int primary key check (id = 1), version int not null)
  `.execute(db);
  await sql`insert into schema_version (id, version) values (1, 0)`.execute(db);
}

/**
 * Text is compared by its bytes, whatever the database's language is. Columns of transaction ids are what makes
 * changes findable: numbers from a sequence would not be in the order of the commits.
 */
async function createTables(db: Kysely<LedgerTables>): Promise<void> {
  await sql`
    create table replicas (
      id text collate "C" primary key,
      instance text not null,
      url text not null,
      version text not null,
      started timestamptz not null,
      expires timestamptz not null,
      heard xid8
    ) with (fillfactor = 50)
  `.execute(db);
  await sql`
    create table tags (
      upstream text collate "C", repository text collate "C", tag text collate "C",
      digest text,
      previous text,
      checked timestamptz not null,
      moved xid8 not null default pg_current_xact_id(),
      primary key (upstream, repository, tag)
    ) with (fillfactor = 80)
  `.execute(db);
  await sql`create index tags_by_move on tags (moved, upstream, repository, tag)`.execute(db);
  await sql`
    create table manifests (
      upstream text collate "C", repository text collate "C", digest text collate "C",
      size int8 not null,
      media_type text not null,
      seen timestamptz not null,
      primary key (upstream, repository, digest)
    )
  `.execute(db);
  await sql`
    create table pins (
      pattern text collate "C" primary key,
      id text not null,
      is_pinned boolean not null,
      platforms text[] not null,
      at timestamptz not null,
      tx xid8 not null default pg_current_xact_id()
    )
  `.execute(db);
  await sql`create index pins_by_change on pins (tx, pattern)`.execute(db);
  await sql`
    create table purges (
      id text collate "C" primary key,
      pattern text not null,
      at timestamptz not null,
      tx xid8 not null default pg_current_xact_id()
    )
  `.execute(db);
  await sql`create index purges_by_change on purges (tx, id)`.execute(db);
  await sql`
    create table limits (
      upstream text collate "C", host text collate "C", account text collate "C",
      kind text collate "C", requests text collate "C",
      remaining int8,
      quota int8,
      window_s float8,
      until timestamptz not null,
      tx xid8 not null default pg_current_xact_id(),
      primary key (upstream, host, account, kind, requests)
    )
  `.execute(db);
  await sql`
    create index limits_by_change on limits (tx, upstream, host, account, kind, requests)
  `.execute(db);
  await sql`
    create table leaders (
      role text collate "C" primary key,
      holder text not null,
      fence int8 not null,
      expires timestamptz not null
    )
  `.execute(db);
  await createObjectTables(db);
}
