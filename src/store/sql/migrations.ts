import { type Kysely, sql } from "kysely";
import { addHistory } from "./history/history-tables.ts";
import { addTagPulls } from "./history/tag-pulls.ts";
import { addStampsOfOverrides, addTagHistory } from "./tag-policy/tag-policy-tables.ts";
import type { Tables } from "./tables.ts";

/** Uses only `db.schema` and raw SQL: `Tables` describes the tables after the last migration. */
type Migration = (db: Kysely<Tables>) => Promise<void>;

/**
 * All migrations, in order: the first brings an empty database to version 1. A released migration is
 * never changed; later changes are migrations of their own. There are no down migrations.
 */
const MIGRATIONS: readonly Migration[] = [
  createTables,
  addRetentionTables,
  addDigestToIndexes,
  renameContentsToBlobs,
  addConfirmedLinks,
  addMediaTypesOfLinks,
  addAccess,
  addTotals,
  addAgeOfLinks,
  addHistory,
  addVisibility,
  addTagHistory,
  addTagPulls,
  addStampsOfOverrides,
];

/** The version of the schema that this program reads and writes. */
export const SCHEMA_VERSION: number = MIGRATIONS.length;

/** The database was written by a newer Entrepot. Nothing in it was changed. */
export class NewerSchemaError extends Error {
  override readonly name = "NewerSchemaError";

  constructor(readonly found: number) {
    super(
      `its schema has version ${found}, and this version supports versions up to ${SCHEMA_VERSION}`,
    );
  }
}

/**
 * Migrates the database to this program's schema version. Each migration runs in a transaction that also
 * records its version.
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
  for (const [position, migration] of MIGRATIONS.entries()) {
    const version = position + 1;
    if (version <= found) continue;
    await db.transaction().execute(async (transaction) => {
      await migration(transaction);
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
  // For the LRU order. With the size in it, the total is summed without reading the table.
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

/** Indexes for eviction by age and by upstream, and the table of pins. */
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

/** With the digest, the next page can begin between rows of the same time, without reading any again. */
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

/** Renames the table `contents`, and its indexes, to `blobs`. */
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

/**
 * Tells confirmed links from claimed ones. Of existing links, those are confirmed of which it is known
 * that the upstream gave the blob, so that it is served with the upstream down: it is stored, and either
 * no other upstream has a link to it, or the link has no size, which manifests always give, or a tag
 * points to it. The upstream is asked once for the others.
 */
async function addConfirmedLinks(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .alterTable("links")
    .addColumn("confirmed", "integer", (column) => column.notNull().defaultTo(0))
    .execute();
  await sql`
    update links set confirmed = 1
    where digest in (select digest from blobs) and (
      size is null
      or digest in (select digest from links group by digest having min(upstream) = max(upstream))
      or exists (
        select 1 from tags
        where tags.upstream = links.upstream
          and tags.repository = links.repository
          and tags.digest = links.digest
      )
    )
  `.execute(db);
  await db.schema.dropIndex("links_by_digest").execute();
  await db.schema
    .createIndex("links_by_digest")
    .on("links")
    .columns(["digest", "upstream", "confirmed"])
    .execute();
}

/** The type with which a manifest is served is a fact of a repository: until now, it was one of the blob. */
async function addMediaTypesOfLinks(db: Kysely<Tables>): Promise<void> {
  await db.schema.alterTable("links").addColumn("media_type", "text").execute();
  await sql`
    update links set media_type = blobs.media_type from blobs
    where blobs.digest = links.digest and blobs.media_type is not null and links.confirmed = 1
  `.execute(db);
}

/** When upstreams last answered for their repositories: of existing ones, the last check of a tag. */
async function addAccess(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable("access")
    .addColumn("upstream", "text", (column) => column.notNull())
    .addColumn("repository", "text", (column) => column.notNull())
    .addColumn("answered_at", "bigint", (column) => column.notNull())
    .addColumn("is_refused", "integer", (column) => column.notNull())
    .addPrimaryKeyConstraint("access_key", ["upstream", "repository"])
    .execute();
  await sql`
    insert into access (upstream, repository, answered_at, is_refused)
    select upstream, repository, max(checked_at), 0 from tags group by upstream, repository
  `.execute(db);
}

/** The totals of the blobs are kept by triggers: adding a million rows up takes longer than all else of a start. */
async function addTotals(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable("totals")
    .addColumn("id", "integer", (column) => column.primaryKey())
    .addColumn("block_size", "bigint", (column) => column.notNull())
    .addColumn("count", "bigint", (column) => column.notNull())
    .addColumn("bytes", "bigint", (column) => column.notNull())
    .addColumn("blocks", "bigint", (column) => column.notNull())
    .execute();
  await sql`
    insert into totals (id, block_size, count, bytes, blocks)
    select 1, 4096, count(*), coalesce(sum(size), 0), coalesce(sum((size + 4095) / 4096), 0) from blobs
  `.execute(db);
  const added = sql`
    count = count + 1, bytes = bytes + new.size,
    blocks = blocks + (new.size + block_size - 1) / block_size
  `;
  const removed = sql`
    count = count - 1, bytes = bytes - old.size,
    blocks = blocks - (old.size + block_size - 1) / block_size
  `;
  await sql`
    create trigger blobs_inserted after insert on blobs begin update totals set ${added}; end
  `.execute(db);
  await sql`
    create trigger blobs_deleted after delete on blobs begin update totals set ${removed}; end
  `.execute(db);
  await sql`
    create trigger blobs_resized after update of size on blobs when new.size <> old.size
    begin update totals set ${removed}; update totals set ${added}; end
  `.execute(db);
}

/** Links that a pull needs which is in progress are young. Existing ones are old. */
async function addAgeOfLinks(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .alterTable("links")
    .addColumn("added_at", "bigint", (column) => column.notNull().defaultTo(0))
    .execute();
}

/** Which repositories upstreams show to anybody. */
async function addVisibility(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable("visibility")
    .addColumn("upstream", "text", (column) => column.notNull())
    .addColumn("repository", "text", (column) => column.notNull())
    .addColumn("is_public", "integer", (column) => column.notNull())
    .addColumn("asked_at", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("visibility_key", ["upstream", "repository"])
    .execute();
}
