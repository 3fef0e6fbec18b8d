import type { Kysely } from "kysely";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import type { RepositoryRef } from "../metadata-store.ts";
import type { Visibility, VisibilityRecord } from "../visibility.ts";
import type { Tables } from "./tables.ts";

/** Which repositories upstreams show to anybody, in a database. */
export class SqlVisibility implements Visibility {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async get(repo: RepositoryRef): Promise<VisibilityRecord | undefined> {
    const row = await this.#db
      .selectFrom("visibility")
      .select(["is_public", "asked_at"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .executeTakeFirst();
    return row && { isPublic: row.is_public === 1, askedAt: row.asked_at };
  }

  async put(repo: RepositoryRef, { isPublic, askedAt }: VisibilityRecord): Promise<void> {
    const values = { is_public: isPublic ? 1 : 0, asked_at: askedAt };
    await this.#db
      .insertInto("visibility")
      .values({ upstream: repo.upstream, repository: repo.repository, ...values })
      .onConflict((conflict) => conflict.columns(["upstream", "repository"]).doUpdateSet(values))
      .execute();
  }

  async publicAmong(
    upstream: UpstreamName,
    repositories: readonly RepositoryName[],
    since: number,
  ): Promise<RepositoryName[]> {
    if (repositories.length === 0) return [];
    const rows = await this.#db
      .selectFrom("visibility")
      .select("repository")
      .where("upstream", "=", upstream)
      .where("repository", "in", repositories)
      .where("is_public", "=", 1)
      .where("asked_at", ">=", since)
      .execute();
    return rows.map(({ repository }) => repository);
  }

  async removeBefore(moment: number, limit: number): Promise<number> {
    const old = this.#db
      .selectFrom("visibility")
      .select(["upstream", "repository"])
      .where("asked_at", "<", moment)
      .limit(limit);
    const { numDeletedRows } = await this.#db
      .deleteFrom("visibility")
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
