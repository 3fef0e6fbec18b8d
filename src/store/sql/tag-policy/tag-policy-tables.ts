import { type Kysely, type RawBuilder, sql } from "kysely";
import type { Tables } from "../tables.ts";

/** Rows of one tag. Those of one digest next to each other count once: see `joinedStays`. */
export const MAX_ROWS_OF_TAG = 40;

/** A migration: what tags were seen to point to, in place of `former_tags`, and what is decided of them. */
export async function addTagHistory(db: Kysely<Tables>): Promise<void> {
  await sql`alter table tags add column seen_at bigint`.execute(db);
  await sql`alter table tags add column source text`.execute(db);
  // The order is that in which stays were seen, whatever the clock did.
  await sql`
    create table tag_history (
      upstream text not null, repository text not null, tag text not null, position integer not null,
      digest text not null, first_seen bigint not null, last_seen bigint not null,
      first_served bigint, source text,
      primary key (upstream, repository, tag, position)
    ) without rowid
  `.execute(db);
  await sql`create index tag_history_by_digest on tag_history (upstream, repository, digest)`.execute(
    db,
  );
  await sql`create index tag_history_by_use on tag_history (last_seen)`.execute(db);
  await sql`
    create index tag_history_of_moved on tag_history (upstream, repository, tag) where position > 1
  `.execute(db);
  await sql`
    create table seen_digests (
      upstream text not null, repository text not null, digest text not null, seen_at bigint not null,
      primary key (upstream, repository, digest)
    ) without rowid
  `.execute(db);
  await sql`create index seen_digests_by_age on seen_digests (seen_at)`.execute(db);
  await takeOver(db);
  await addTriggers(db);
  await addOverrides(db);
  await addVerifications(db);
}

/** A digest was there since the one before it had gone. Of the first one that is known, it is not known since when. */
async function takeOver(db: Kysely<Tables>): Promise<void> {
  await sql`
    insert into tag_history (upstream, repository, tag, position, digest, first_seen, last_seen)
    select upstream, repository, tag, position, digest, first_seen, max(first_seen, confirmed_at)
    from (
      select upstream, repository, tag, digest, confirmed_at,
        row_number() over stays as position,
        coalesce(lag(moved_at) over stays, confirmed_at) as first_seen
      from (
        select upstream, repository, tag, digest, confirmed_at, moved_at from former_tags
        union all
        select upstream, repository, tag, digest, checked_at, ${sql.lit(Number.MAX_SAFE_INTEGER)} from tags
      )
      window stays as (partition by upstream, repository, tag order by moved_at)
    )
  `.execute(db);
  await sql`drop trigger tags_moved`.execute(db);
  await sql`drop table former_tags`.execute(db);
}

/** They note what tags point to, whatever moves them: a pull, a refresh, another replica's news. */
async function addTriggers(db: Kysely<Tables>): Promise<void> {
  const isOfTag = sql`upstream = new.upstream and repository = new.repository and tag = new.tag`;
  const latest = sql`(select max(position) from tag_history where ${isOfTag})`;
  const stay = sql`
    insert into tag_history
      (upstream, repository, tag, position, digest, first_seen, last_seen, source)
    select new.upstream, new.repository, new.tag, coalesce(${latest}, 0) + 1, new.digest,
      coalesce(new.seen_at, new.checked_at),
      max(coalesce(new.seen_at, new.checked_at), new.checked_at), new.source
  `;
  const confirmed = sql`update tag_history set last_seen = max(last_seen, new.checked_at)`;
  // As `thinnedStays` does: what tells least goes, never the latest nor the earliest.
  const thinning = sql`
    delete from tag_history
    where (select count(*) from tag_history where ${isOfTag}) > ${sql.lit(MAX_ROWS_OF_TAG)}
      and ${isOfTag} and position = (
        select position from (
          select position,
            abs(lag(first_seen) over later - lead(first_seen) over later) * 1.0
              / (abs(first_value(first_seen) over later - first_seen) + 1) as weight
          from tag_history where ${isOfTag} window later as (order by position desc)
        )
        where weight is not null order by weight, position desc limit 1
      );
  `;
  const moved = sql`
    ${stay} where new.digest is not (
      select digest from tag_history where ${isOfTag} order by position desc limit 1
    );
    ${confirmed} where ${isOfTag} and position = ${latest};
    ${thinning}
  `;
  await trigger(db, "tags_appeared", sql`after insert on tags`, moved);
  await trigger(
    db,
    "tags_moved",
    sql`after update of digest on tags when new.digest <> old.digest`,
    // What was removed, since there was too much, is known from the tag itself.
    sql`
      insert into tag_history
        (upstream, repository, tag, position, digest, first_seen, last_seen, source)
      select new.upstream, new.repository, new.tag, coalesce(${latest}, 0) + 1, old.digest,
        coalesce(old.seen_at, old.checked_at),
        max(coalesce(old.seen_at, old.checked_at), old.checked_at), old.source
      where not exists (select 1 from tag_history where ${isOfTag} and digest = old.digest);
      ${moved}
    `,
  );
  // Another replica may have seen a later digest: this one is confirmed all the same.
  const isOfDigest = sql`${isOfTag} and digest = new.digest`;
  await trigger(
    db,
    "tags_confirmed",
    sql`after update of checked_at on tags when new.digest = old.digest`,
    sql`
      ${stay} where not exists (select 1 from tag_history where ${isOfDigest});
      ${confirmed} where ${isOfTag} and position = (
        select max(position) from tag_history where ${isOfDigest}
      );
    `,
  );
}

async function trigger(
  db: Kysely<Tables>,
  name: string,
  when: RawBuilder<unknown>,
  body: RawBuilder<unknown>,
): Promise<void> {
  await sql`create trigger ${sql.id(name)} ${when} begin ${body} end`.execute(db);
}

async function addOverrides(db: Kysely<Tables>): Promise<void> {
  await sql`
    create table overrides (
      id text not null primary key, kind text not null, pattern text not null, digest text, as_of bigint,
      is_unverified integer not null, reason text not null, made_by text not null, since bigint not null,
      until bigint, ended_at bigint, ended_by text, ended_reason text
    ) without rowid
  `.execute(db);
}

/** A migration: the order of overrides. That of an earlier one is its time. */
export async function addStampsOfOverrides(db: Kysely<Tables>): Promise<void> {
  await sql`alter table overrides add column stamp bigint`.execute(db);
}

async function addVerifications(db: Kysely<Tables>): Promise<void> {
  await sql`
    create table verifications (
      upstream text not null, repository text not null, digest text not null, revision text not null,
      outcome text not null, detail text not null, logged_at bigint, verified_at bigint not null,
      primary key (upstream, repository, digest, revision)
    ) without rowid
  `.execute(db);
  await sql`create index verifications_by_outcome on verifications (outcome, verified_at)`.execute(
    db,
  );
  await sql`create index verifications_by_age on verifications (verified_at)`.execute(db);
}
