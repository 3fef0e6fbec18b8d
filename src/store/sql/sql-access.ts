import type { Kysely } from "kysely";
import type { Access, AccessRecord, RepositoryRef } from "../metadata-store.ts";
import type { Tables } from "./tables.ts";

/** What upstreams last said about access to their repositories, in a database. */
export class SqlAccess implements Access {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async get(repo: RepositoryRef): Promise<AccessRecord | undefined> {
    const row = await this.#db
      .selectFrom("access")
      .select(["answered_at", "is_refused"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .executeTakeFirst();
    return row && { answeredAt: row.answered_at, isRefused: row.is_refused === 1 };
  }

  async put(repo: RepositoryRef, { answeredAt, isRefused }: AccessRecord): Promise<void> {
    const values = { answered_at: answeredAt, is_refused: isRefused ? 1 : 0 };
    await this.#db
      .insertInto("access")
      .values({ upstream: repo.upstream, repository: repo.repository, ...values })
      .onConflict((conflict) => conflict.columns(["upstream", "repository"]).doUpdateSet(values))
      .execute();
  }

  async removeBefore(moment: number, limit: number): Promise<number> {
    const old = this.#db
      .selectFrom("access")
      .select(["upstream", "repository"])
      .where("answered_at", "<", moment)
      .where("is_refused", "=", 0)
      .limit(limit);
    const { numDeletedRows } = await this.#db
      .deleteFrom("access")
      .where((where) =>
        where(
          where.refTuple("upstream", "repository"),
          "in",
          old.$asTuple("upstream", "repository"),
        ),
      )
      .executeTakeFirstOrThrow();
    return Number(numDeletedRows);
  }
}
