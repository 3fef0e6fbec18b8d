import { type Kysely, sql } from "kysely";
import type { Tables } from "../tables.ts";

/** As they were when the table was made: later ones are columns that later migrations add. */
const FIGURES_AT_FIRST = [
  "cacheable",
  "from_cache",
  "manifests_from_cache",
  "sent_bytes",
  "fetched_bytes",
  "saved_ms",
  "answered",
  "failed",
  "limited",
  "answered_ms",
  "downloaded_bytes",
  "downloaded_ms",
];

/** How many former digests of one tag are kept. */
const MAX_FORMER = 20;

/** A migration: what is told of the last thirty days. */
export async function addHistory(db: Kysely<Tables>): Promise<void> {
  const figures = FIGURES_AT_FIRST.map((name) => sql`${sql.ref(name)} bigint not null default 0`);
  // An upstream's periods are next to each other, in their order.
  await sql`
    create table history (
      resolution integer not null, upstream text not null, start bigint not null,
      ${sql.join(figures)},
      primary key (resolution, upstream, start)
    ) without rowid
  `.execute(db);
  await sql`
    create table disk_history (
      resolution integer not null, start bigint not null,
      used bigint not null, evicted bigint not null default 0,
      primary key (resolution, start)
    ) without rowid
  `.execute(db);
  await sql`
    create table nodes (
      address text not null primary key, user_agent text not null, pulled_at bigint not null, report text
    ) without rowid
  `.execute(db);
  await sql`create index nodes_by_pull on nodes (pulled_at)`.execute(db);
  await sql`
    create table image_clients (
      upstream text not null, repository text not null, reference text not null, client text not null,
      pulled_at bigint not null, pulls bigint not null,
      primary key (upstream, repository, reference, client)
    ) without rowid
  `.execute(db);
  await sql`create index image_clients_by_pull on image_clients (pulled_at)`.execute(db);
  await addFormerTags(db);
}

/** A trigger notes what tags pointed to, whatever moves them: a pull, a refresh, another replica's news. */
async function addFormerTags(db: Kysely<Tables>): Promise<void> {
  await sql`
    create table former_tags (
      upstream text not null, repository text not null, tag text not null, moved_at bigint not null,
      digest text not null, confirmed_at bigint not null,
      primary key (upstream, repository, tag, moved_at)
    ) without rowid
  `.execute(db);
  await sql`create index former_tags_by_move on former_tags (moved_at)`.execute(db);
  const isSameTag = sql`upstream = new.upstream and repository = new.repository and tag = new.tag`;
  await sql`
    create trigger tags_moved after update of digest on tags when new.digest <> old.digest
    begin
      insert or replace into former_tags (upstream, repository, tag, moved_at, digest, confirmed_at)
      values (new.upstream, new.repository, new.tag, new.checked_at, old.digest, old.checked_at);
      delete from former_tags where ${isSameTag} and moved_at <= (
        select moved_at from former_tags where ${isSameTag}
        order by moved_at desc limit 1 offset ${sql.lit(MAX_FORMER)}
      );
    end
  `.execute(db);
}
