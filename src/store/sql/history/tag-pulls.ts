import { type Insertable, type Kysely, type Selectable, sql } from "kysely";
import type { Digest } from "../../../oci/digest.ts";
import { HOUR_MS, type TagPulls } from "../../history-store.ts";
import type { Tables } from "../tables.ts";

/** With its index, a row takes about 350 bytes: 18 MB in all. */
export const MAX_TAG_PULLS = 50_000;

/** A migration: which digest clients got for tags, by hour. A refusal has no digest: an empty one stands for it. */
export async function addTagPulls(db: Kysely<Tables>): Promise<void> {
  await sql`
    create table tag_pulls (
      upstream text not null, repository text not null, tag text not null, hour bigint not null,
      digest text not null, pulled_at bigint not null, pulls bigint not null,
      primary key (upstream, repository, tag, hour, digest)
    ) without rowid
  `.execute(db);
  await sql`create index tag_pulls_by_pull on tag_pulls (pulled_at)`.execute(db);
}

export async function putTagPulls(db: Kysely<Tables>, pulls: readonly TagPulls[]): Promise<void> {
  const rows = pulls.map(
    ({ repo, tag, digest, pulledAt, pulls: count }): Insertable<Tables["tag_pulls"]> => ({
      upstream: repo.upstream,
      repository: repo.repository,
      tag,
      hour: pulledAt - (pulledAt % HOUR_MS),
      digest: digest ?? "",
      pulled_at: pulledAt,
      pulls: count,
    }),
  );
  await db
    .insertInto("tag_pulls")
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(["upstream", "repository", "tag", "hour", "digest"]).doUpdateSet({
        pulled_at: sql`max(tag_pulls.pulled_at, excluded.pulled_at)`,
        pulls: sql`tag_pulls.pulls + excluded.pulls`,
      }),
    )
    .execute();
}

/** Those since a moment, tag by tag, the earliest of each first. */
export async function readTagPulls(
  db: Kysely<Tables>,
  from: number,
  limit: number,
): Promise<TagPulls[]> {
  const rows = await db
    .selectFrom("tag_pulls")
    .select(["upstream", "repository", "tag", "digest", "pulled_at", "pulls"])
    .where("pulled_at", ">=", from)
    .orderBy("upstream")
    .orderBy("repository")
    .orderBy("tag")
    .orderBy("pulled_at")
    .limit(limit)
    .execute();
  return rows.map(pullsOf);
}

function pullsOf({
  upstream,
  repository,
  tag,
  digest,
  pulled_at: pulledAt,
  pulls,
}: Pick<
  Selectable<Tables["tag_pulls"]>,
  "upstream" | "repository" | "tag" | "digest" | "pulled_at" | "pulls"
>): TagPulls {
  const counted = { repo: { upstream, repository }, tag, pulledAt, pulls };
  return isRefusal(digest) ? counted : { ...counted, digest };
}

function isRefusal(digest: Digest | ""): digest is "" {
  return digest === "";
}
