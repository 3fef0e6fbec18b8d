import { setImmediate } from "node:timers/promises";
import { type Kysely, sql } from "kysely";
import type { Digest } from "../../oci/digest.ts";
import type { BlobRecord, BlobRecords, BlobTotal, BlobUse } from "../metadata-store.ts";
import { isRefusedWrite } from "./sqlite-file.ts";
import type { Tables } from "./tables.ts";

/** Rows that are written at a time: about 2 ms, for which other writes have to wait. */
const BATCH_ROWS = 256;

/** The records of stored blobs, in a database. */
export class SqlBlobRecords implements BlobRecords {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async get(digest: Digest): Promise<BlobRecord | undefined> {
    const row = await this.#db
      .selectFrom("blobs")
      .select(["size", "media_type"])
      .where("digest", "=", digest)
      .executeTakeFirst();
    if (!row) return undefined;
    const mediaType = row.media_type === null ? {} : { mediaType: row.media_type };
    return { digest, size: row.size, ...mediaType };
  }

  async put(blob: BlobRecord, now: number): Promise<void> {
    await this.#db
      .insertInto("blobs")
      .values({
        digest: blob.digest,
        size: blob.size,
        media_type: blob.mediaType ?? null,
        stored_at: now,
        used_at: now,
      })
      .onConflict((conflict) =>
        conflict.column("digest").doUpdateSet((update) => ({
          size: blob.size,
          // A manifest that is also pulled through the blob endpoint stays a manifest.
          media_type: update.fn.coalesce("excluded.media_type", "blobs.media_type"),
          stored_at: now,
          used_at: now,
        })),
      )
      .execute();
  }

  async remove(
    digests: readonly Digest[],
    until: number | ReadonlyMap<Digest, number> = Infinity,
  ): Promise<void> {
    if (digests.length === 0) return;
    const limitOf = (digest: Digest): number =>
      typeof until === "number" ? until : (until.get(digest) ?? Infinity);
    const byLimit = Map.groupBy(digests, limitOf);
    await this.#db
      .deleteFrom("blobs")
      .where((where) =>
        where.or(
          [...byLimit].map(([limit, group]) => {
            const isListed = where("digest", "in", group);
            if (limit === Infinity) return isListed;
            return where.and([isListed, where("stored_at", "<=", limit)]);
          }),
        ),
      )
      .execute();
  }

  async leastRecentlyUsed(
    limit: number,
    last?: Pick<BlobUse, "usedAt" | "digest">,
  ): Promise<BlobUse[]> {
    let query = this.#db.selectFrom("blobs").selectAll();
    if (last) {
      query = query.where((where) =>
        where(where.refTuple("used_at", "digest"), ">", where.tuple(last.usedAt, last.digest)),
      );
    }
    const rows = await query.orderBy("used_at").orderBy("digest").limit(limit).execute();
    return rows.map(blobUse);
  }

  async storedBefore(
    moment: number,
    limit: number,
    last?: Pick<BlobUse, "storedAt" | "digest">,
  ): Promise<BlobUse[]> {
    let query = this.#db.selectFrom("blobs").selectAll().where("stored_at", "<", moment);
    if (last) {
      query = query.where((where) =>
        where(where.refTuple("stored_at", "digest"), ">", where.tuple(last.storedAt, last.digest)),
      );
    }
    const rows = await query.orderBy("stored_at").orderBy("digest").limit(limit).execute();
    return rows.map(blobUse);
  }

  async page(limit: number, last?: Digest): Promise<BlobUse[]> {
    let query = this.#db.selectFrom("blobs").selectAll();
    if (last !== undefined) query = query.where("digest", ">", last);
    const rows = await query.orderBy("digest").limit(limit).execute();
    return rows.map(blobUse);
  }

  async find(digests: readonly Digest[]): Promise<BlobUse[]> {
    if (digests.length === 0) return [];
    const rows = await this.#db
      .selectFrom("blobs")
      .selectAll()
      .where("digest", "in", digests)
      .execute();
    return rows.map(blobUse);
  }

  async touch(times: ReadonlyMap<Digest, number>): Promise<void> {
    const all = [...times];
    for (let first = 0; first < all.length; first += BATCH_ROWS) {
      const rows = all
        .slice(first, first + BATCH_ROWS)
        .map(([digest, time]) => sql`(${digest}, ${time})`);
      await sql`
        with latest (digest, time) as (values ${sql.join(rows)})
        update blobs set used_at = latest.time from latest
        where blobs.digest = latest.digest and blobs.used_at < latest.time
      `.execute(this.#db);
    }
  }

  async usedAfter(moment: number): Promise<number> {
    const { count } = await this.#db
      .selectFrom("blobs")
      .select((select) => select.fn.countAll<number>().as("count"))
      .where("used_at", ">", moment)
      .executeTakeFirstOrThrow();
    return count;
  }

  async clampTimes(now: number): Promise<number> {
    let count = 0;
    for (const column of ["used_at", "stored_at"] as const) {
      for (;;) {
        const rows = await this.#db
          .selectFrom("blobs")
          .select("digest")
          .where(column, ">", now)
          .limit(BATCH_ROWS)
          .execute();
        if (rows.length === 0) break;
        const digests = rows.map(({ digest }) => digest);
        await this.#db
          .updateTable("blobs")
          .set({ [column]: now })
          .where("digest", "in", digests)
          .execute();
        count += rows.length;
        await setImmediate();
      }
    }
    return count;
  }

  async total(blockSize: number): Promise<BlobTotal> {
    // In a transaction, and so after every write that was requested before.
    const row = await this.#db.transaction().execute(async (transaction) => {
      const kept = await transaction
        .selectFrom("totals")
        .selectAll()
        .where("id", "=", 1)
        .executeTakeFirstOrThrow();
      if (kept.block_size === blockSize) return kept;
      // The data directory has moved to another file system.
      const { blocks } = await transaction
        .selectFrom("blobs")
        .select(
          sql<number>`coalesce(sum((size + ${blockSize - 1}) / ${blockSize}), 0)`.as("blocks"),
        )
        .executeTakeFirstOrThrow();
      const counted = { block_size: blockSize, blocks };
      const update = transaction.updateTable("totals").set(counted);
      await update.execute().catch((error: unknown) => {
        // It is counted again when it can be written.
        if (!isRefusedWrite(error)) throw error;
      });
      return { ...kept, ...counted };
    });
    return { count: row.count, bytes: row.bytes, diskBytes: row.blocks * blockSize };
  }
}

function blobUse(row: Tables["blobs"]): BlobUse {
  return {
    digest: row.digest,
    size: row.size,
    storedAt: row.stored_at,
    usedAt: row.used_at,
    ...(row.media_type === null ? {} : { mediaType: row.media_type }),
  };
}
