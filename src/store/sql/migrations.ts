import type { Kysely } from "kysely";
import type { Tables } from "./tables.ts";

/** A step may use `db.schema` alone: `Tables` says how the tables look after the last step, not before it. */
type Step = (db: Kysely<Tables>) => Promise<void>;

/**
 * How the tables came to be, in order: the first brings an empty database to version 1. A step that
 * was released is never changed; what comes later is a step of its own, and there is no way back.
 */
const MIGRATIONS: readonly Step[] = [
  createTables,
  addRetentionTables,
  addDigestToIndexes,
  renameContentsToBlobs,
];

/** The version of the tables that this program reads and writes. */
export const SCHEMA_VERSION: number = MIGRATIONS.length;

/** The database was written by a newer Entrepot; nothing in it was changed. */
export class NewerSchemaError extends Error {
  override readonly name = "NewerSchemaError";

  constructor(readonly found: number) {
    super(`the tables have version ${found}, and this Entrepot knows them up to ${SCHEMA_VERSION}`);
  }
}

/**
 * Brings the tables to this program's version, each step in a transaction with its number.
 *
 * @throws NewerSchemaError
 */
export async function migrate(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable("schema_version")
    .ifNotExists()
    .addColumn("id", "integer", (column) => column.primaryKey())
    .addColumn("version", "integer", (column) => column.notNull())
    .execute();
  const row = await db.selectFrom("schema_version").select("version").executeTakeFirst();
  const found = row?.version ?? 0;
  if (found > SCHEMA_VERSION) throw new NewerSchemaError(found);
  for (const [position, step] of MIGRATIONS.entries()) {
    const version = position + 1;
    if (version <= found) continue;
    await db.transaction().execute(async (transaction) => {
      await step(transaction);
      await transaction
        .insertInto("schema_version")
        .values({ id: 1, version })
        .onConflict((conflict) => conflict.column("id").doUpdateSet({ version }))
        .execute();
    });
  }
}

async function createTables(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable("tags")
    .addColumn("upstream", "text", (column) => column.notNull())
    .addColumn("repository", "text", (column) => column.notNull())
    .addColumn("tag", "text", (column) => column.notNull())
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("checked_at", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("tags_key", ["upstream", "repository", "tag"])
    .execute();
  await db.schema
    .createTable("links")
    .addColumn("upstream", "text", (column) => column.notNull())
    .addColumn("repository", "text", (column) => column.notNull())
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("size", "bigint")
    .addPrimaryKeyConstraint("links_key", ["upstream", "repository", "digest"])
    .execute();
  await db.schema
    .createTable("contents")
    .addColumn("digest", "text", (column) => column.primaryKey().notNull())
    .addColumn("size", "bigint", (column) => column.notNull())
    .addColumn("media_type", "text")
    .addColumn("stored_at", "bigint", (column) => column.notNull())
    .addColumn("used_at", "bigint", (column) => column.notNull())
    .execute();
  // What was used least lately, and with the size in it the sum of all without reading the table.
  await db.schema
    .createIndex("contents_by_use")
    .on("contents")
    .columns(["used_at", "size"])
    .execute();
  await db.schema
    .createTable("listings")
    .addColumn("upstream", "text", (column) => column.notNull())
    .addColumn("repository", "text", (column) => column.notNull())
    .addColumn("key", "text", (column) => column.notNull())
    .addColumn("body", "text", (column) => column.notNull())
    .addColumn("checked_at", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("listings_key", ["upstream", "repository", "key"])
    .execute();
}

/** What eviction by age and upstream looks things up by, and what it must not touch. */
async function addRetentionTables(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createIndex("links_by_digest")
    .on("links")
    .columns(["digest", "upstream"])
    .execute();
  await db.schema.createIndex("contents_by_age").on("contents").columns(["stored_at"]).execute();
  await db.schema
    .createTable("pins")
    .addColumn("pattern", "text", (column) => column.primaryKey().notNull())
    .addColumn("platforms", "text", (column) => column.notNull())
    .addColumn("since", "bigint", (column) => column.notNull())
    .execute();
}

/** With the digest: the next page begins where many have the same time, and none of them is read again. */
async function addDigestToIndexes(db: Kysely<Tables>): Promise<void> {
  await db.schema.dropIndex("contents_by_use").execute();
  await db.schema.dropIndex("contents_by_age").execute();
  await db.schema
    .createIndex("contents_by_use")
    .on("contents")
    .columns(["used_at", "digest", "size"])
    .execute();
  await db.schema
    .createIndex("contents_by_age")
    .on("contents")
    .columns(["stored_at", "digest"])
    .execute();
}

/** The table of stored blobs is called so. */
async function renameContentsToBlobs(db: Kysely<Tables>): Promise<void> {
  await db.schema.dropIndex("contents_by_use").execute();
  await db.schema.dropIndex("contents_by_age").execute();
  await db.schema.alterTable("contents").renameTo("blobs").execute();
  await db.schema
    .createIndex("blobs_by_use")
    .on("blobs")
    .columns(["used_at", "digest", "size"])
    .execute();
  await db.schema
    .createIndex("blobs_by_age")
    .on("blobs")
    .columns(["stored_at", "digest"])
    .execute();
}
