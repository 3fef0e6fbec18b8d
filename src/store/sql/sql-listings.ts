import type { Kysely } from "kysely";
import type { Listing, Listings, RepositoryRef } from "../metadata-store.ts";
import type { Tables } from "./tables.ts";

/** Cached list responses of upstreams, in a database. */
export class SqlListings implements Listings {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async get(repo: RepositoryRef, key: string): Promise<Listing | undefined> {
    const row = await this.#db
      .selectFrom("listings")
      .select(["body", "checked_at"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("key", "=", key)
      .executeTakeFirst();
    return row && { body: row.body, checkedAt: row.checked_at };
  }

  async removeBefore(moment: number, limit: number): Promise<number> {
    const old = this.#db
      .selectFrom("listings")
      .select(["upstream", "repository", "key"])
      .where("checked_at", "<", moment)
      .limit(limit);
    const { numDeletedRows } = await this.#db
      .deleteFrom("listings")
      .where((where) =>
        where(
          where.refTuple("upstream", "repository", "key"),
          "in",
          old.$asTuple("upstream", "repository", "key"),
        ),
      )
      .executeTakeFirstOrThrow();
    return Number(numDeletedRows);
  }

  async put(repo: RepositoryRef, key: string, listing: Listing): Promise<void> {
    const values = { body: listing.body, checked_at: listing.checkedAt };
    await this.#db
      .insertInto("listings")
      .values({ upstream: repo.upstream, repository: repo.repository, key, ...values })
      .onConflict((conflict) =>
        conflict.columns(["upstream", "repository", "key"]).doUpdateSet(values),
      )
      .execute();
  }
}
