import type { Kysely } from "kysely";
import type { Tag } from "../../oci/names.ts";
import type { TagRef, RepositoryRef, TagRecord, Tags } from "../metadata-store.ts";
import type { Tables } from "./tables.ts";

/** The records of tags, in a database. */
export class SqlTags implements Tags {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async get(repo: RepositoryRef, tag: Tag): Promise<TagRecord | undefined> {
    const row = await this.#db
      .selectFrom("tags")
      .select(["digest", "checked_at"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("tag", "=", tag)
      .executeTakeFirst();
    return row && { digest: row.digest, checkedAt: row.checked_at };
  }

  async put(repo: RepositoryRef, tag: Tag, record: TagRecord): Promise<void> {
    const values = { digest: record.digest, checked_at: record.checkedAt };
    await this.#db
      .insertInto("tags")
      .values({ upstream: repo.upstream, repository: repo.repository, tag, ...values })
      .onConflict((conflict) =>
        conflict.columns(["upstream", "repository", "tag"]).doUpdateSet(values),
      )
      .execute();
  }

  async remove(repo: RepositoryRef, tag: Tag): Promise<void> {
    await this.#db
      .deleteFrom("tags")
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("tag", "=", tag)
      .execute();
  }

  async list(repo: RepositoryRef): Promise<Tag[]> {
    const rows = await this.#db
      .selectFrom("tags")
      .select("tag")
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .orderBy("tag")
      .execute();
    return rows.map((row) => row.tag);
  }

  async all(limit: number, last?: TagRef): Promise<(TagRef & TagRecord)[]> {
    let query = this.#db.selectFrom("tags").selectAll();
    if (last) {
      const { upstream, repository } = last.repo;
      query = query.where((where) =>
        where(
          where.refTuple("upstream", "repository", "tag"),
          ">",
          where.tuple(upstream, repository, last.tag),
        ),
      );
    }
    const rows = await query
      .orderBy("upstream")
      .orderBy("repository")
      .orderBy("tag")
      .limit(limit)
      .execute();
    return rows.map(({ upstream, repository, tag, digest, checked_at: checkedAt }) => ({
      repo: { upstream, repository },
      tag,
      digest,
      checkedAt,
    }));
  }
}
