import { Database } from "bun:sqlite";

/** For each version of the schema from the third on, what undoes its migration. */
const UNDO: ReadonlyMap<number, readonly string[]> = new Map([
  [14, ["alter table overrides drop column stamp"]],
  [13, ["drop table tag_pulls"]],
  [
    12,
    [
      "drop table verifications",
      "drop table overrides",
      "drop table seen_digests",
      "drop trigger tags_appeared",
      "drop trigger tags_moved",
      "drop trigger tags_confirmed",
      "drop table tag_history",
      "alter table tags drop column source",
      "alter table tags drop column seen_at",
      `create table former_tags (
        upstream text not null, repository text not null, tag text not null, moved_at bigint not null,
        digest text not null, confirmed_at bigint not null,
        primary key (upstream, repository, tag, moved_at)
      ) without rowid`,
      // Only that there is one of this name.
      "create trigger tags_moved after update of digest on tags begin select 1; end",
    ],
  ],
  [11, ["drop table visibility"]],
  [
    10,
    [
      "drop trigger tags_moved",
      "drop table former_tags",
      "drop table image_clients",
      "drop table nodes",
      "drop table disk_history",
      "drop table history",
    ],
  ],
  [9, ["alter table links drop column added_at"]],
  [
    8,
    [
      "drop trigger blobs_inserted",
      "drop trigger blobs_deleted",
      "drop trigger blobs_resized",
      "drop table totals",
    ],
  ],
  [7, ["drop table access"]],
  [6, ["alter table links drop column media_type"]],
  [
    5,
    [
      "drop index links_by_digest",
      "alter table links drop column confirmed",
      "create index links_by_digest on links (digest, upstream)",
    ],
  ],
  [
    4,
    [
      "drop index blobs_by_use",
      "drop index blobs_by_age",
      "alter table blobs rename to contents",
      "create index contents_by_use on contents (used_at, digest, size)",
      "create index contents_by_age on contents (stored_at, digest)",
    ],
  ],
  [
    3,
    [
      "drop index contents_by_use",
      "drop index contents_by_age",
      "create index contents_by_use on contents (used_at, size)",
      "create index contents_by_age on contents (stored_at)",
    ],
  ],
]);

/** Makes a closed metadata database one of an earlier version of the schema, with its rows. */
export function downgradeMetadata(path: string, version: number): void {
  const database = new Database(path);
  for (const [undone, statements] of UNDO) {
    if (undone > version) for (const statement of statements) database.run(statement);
  }
  database.run(`update schema_version set version = ${version}`);
  database.close();
}
