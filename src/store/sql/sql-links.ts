import type { Kysely } from "kysely";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import type { Link, Links, Period, RepositoryRef } from "../metadata-store.ts";
import type { Tables } from "./tables.ts";

/** Rows per statement: with seven variables each, far below the 32,766 variables that SQLite allows. */
const ROWS_PER_INSERT = 128;

/** Which digests are visible in which repositories, in a database. */
export class SqlLinks implements Links {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async get(repo: RepositoryRef, digest: Digest): Promise<Link | undefined> {
    const row = await this.#db
      .selectFrom("links")
      .select(["size", "confirmed", "media_type"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("digest", "=", digest)
      .executeTakeFirst();
    if (!row) return undefined;
    const size = row.size === null ? {} : { size: row.size };
    const confirmed = row.confirmed === 1 ? row : await this.#confirmed(repo.upstream, digest);
    if (!confirmed) return { digest, ...size };
    const type = confirmed.media_type === null ? {} : { manifestType: confirmed.media_type };
    const elsewhere = confirmed === row ? {} : { isConfirmedElsewhere: true as const };
    return { digest, ...size, confirmed: true, ...elsewhere, ...type };
  }

  async add(repo: RepositoryRef, links: readonly Link[], now: number = Date.now()): Promise<void> {
    // An image may name a layer twice, and PostgreSQL does not upsert a row twice in one statement.
    const byDigest = new Map<Digest, Tables["links"]>();
    for (const { digest, size, confirmed, manifestType } of links) {
      const earlier = byDigest.get(digest);
      byDigest.set(digest, {
        upstream: repo.upstream,
        repository: repo.repository,
        digest,
        size: size ?? earlier?.size ?? null,
        confirmed: confirmed === true || earlier?.confirmed === 1 ? 1 : 0,
        media_type: manifestType ?? earlier?.media_type ?? null,
        added_at: now,
      });
    }
    const rows = [...byDigest.values()];
    if (rows.length <= ROWS_PER_INSERT) return this.#insert(this.#db, rows);
    await this.#db.transaction().execute(async (transaction) => {
      for (let first = 0; first < rows.length; first += ROWS_PER_INSERT) {
        await this.#insert(transaction, rows.slice(first, first + ROWS_PER_INSERT));
      }
    });
  }

  async remove(repo: RepositoryRef, digest: Digest): Promise<void> {
    await this.#db
      .deleteFrom("links")
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("digest", "=", digest)
      .execute();
  }

  async removeAll(digest: Digest, upstream?: UpstreamName): Promise<void> {
    let query = this.#db.deleteFrom("links").where("digest", "=", digest);
    if (upstream !== undefined) query = query.where("upstream", "=", upstream);
    await query.execute();
  }

  async repositoriesOf(digest: Digest, limit: number): Promise<RepositoryRef[]> {
    return this.#db
      .selectFrom("links")
      .select(["upstream", "repository"])
      .where("digest", "=", digest)
      .orderBy("upstream")
      .orderBy("repository")
      .limit(limit)
      .execute();
  }

  async upstreams(digest: Digest): Promise<UpstreamName[]> {
    const rows = await this.#db
      .selectFrom("links")
      .select("upstream")
      .distinct()
      .where("digest", "=", digest)
      .execute();
    return rows.map((row) => row.upstream);
  }

  async visibleIn(
    upstream: UpstreamName,
    digests: readonly Digest[],
  ): Promise<ReadonlySet<Digest>> {
    if (digests.length === 0) return new Set();
    const rows = await this.#db
      .selectFrom("links")
      .select("digest")
      .distinct()
      .where("digest", "in", digests)
      .where("upstream", "=", upstream)
      .execute();
    return new Set(rows.map((row) => row.digest));
  }

  async digests(limit: number, last?: Digest): Promise<Digest[]> {
    let query = this.#db.selectFrom("links").select("digest").distinct();
    if (last !== undefined) query = query.where("digest", ">", last);
    const rows = await query.orderBy("digest").limit(limit).execute();
    return rows.map((row) => row.digest);
  }

  async removeUnstored(digests: readonly Digest[], young: Period): Promise<number> {
    if (digests.length === 0) return 0;
    // In one statement, so that a blob which is stored between check and removal keeps its links.
    const { numDeletedRows } = await this.#db
      .deleteFrom("links")
      .where("digest", "in", digests)
      .where((where) => where.not(where.between("added_at", young.from, young.until)))
      .where((where) =>
        where.not(
          where.exists(
            where
              .selectFrom("blobs")
              .select("blobs.digest")
              .whereRef("blobs.digest", "=", "links.digest"),
          ),
        ),
      )
      .executeTakeFirstOrThrow();
    return Number(numDeletedRows);
  }

  async repositories(upstream: UpstreamName, limit: number, last = ""): Promise<RepositoryName[]> {
    const rows = await this.#db
      .selectFrom("links")
      .select("repository")
      .distinct()
      .where("upstream", "=", upstream)
      // It is only compared by its bytes, so it need not be a valid name.
      .where("repository", ">", last as RepositoryName)
      .orderBy("repository")
      .limit(limit)
      .execute();
    return rows.map((row) => row.repository);
  }

  /** A confirmed link of any repository of the upstream. */
  #confirmed(
    upstream: UpstreamName,
    digest: Digest,
  ): Promise<Pick<Tables["links"], "media_type"> | undefined> {
    return this.#db
      .selectFrom("links")
      .select("media_type")
      .where("digest", "=", digest)
      .where("upstream", "=", upstream)
      .where("confirmed", "=", 1)
      .limit(1)
      .executeTakeFirst();
  }

  async #insert(db: Kysely<Tables>, rows: readonly Tables["links"][]): Promise<void> {
    if (rows.length === 0) return;
    await db
      .insertInto("links")
      .values(rows)
      .onConflict((conflict) =>
        conflict.columns(["upstream", "repository", "digest"]).doUpdateSet((update) => ({
          size: update.fn.coalesce("excluded.size", "links.size"),
          confirmed: update
            .case()
            .when("excluded.confirmed", "=", 1)
            .then(1)
            .else(update.ref("links.confirmed"))
            .end(),
          media_type: update.fn.coalesce("excluded.media_type", "links.media_type"),
          added_at: update.ref("excluded.added_at"),
        })),
      )
      .execute();
  }
}
