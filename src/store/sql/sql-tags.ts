import type { Kysely, Selectable } from "kysely";
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
      .select(["digest", "checked_at", "seen_at", "source"])
      .where("upstream", "=", repo.upstream)
      .where("repository", "=", repo.repository)
      .where("tag", "=", tag)
      .executeTakeFirst();
    return row && recordOf(row);
  }

  async put(repo: RepositoryRef, tag: Tag, record: TagRecord): Promise<void> {
    const values = {
      digest: record.digest,
      checked_at: record.checkedAt,
      seen_at: record.seenAt ?? null,
      source: record.source ?? null,
    };
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
    return rows.map(listedOf);
  }
}

type RecordRow = Pick<Selectable<Tables["tags"]>, "digest" | "checked_at" | "seen_at" | "source">;

function recordOf({ digest, checked_at, seen_at, source }: RecordRow): TagRecord {
  return {
    digest,
    checkedAt: checked_at,
    ...(seen_at === null ? {} : { seenAt: seen_at }),
    ...(source === null ? {} : { source }),
  };
}

function listedOf({ upstream, repository, tag, ...row }: Selectable<Tables["tags"]>) {
  return { repo: { upstream, repository }, tag, ...recordOf(row) };
}
