import { Database, type SQLQueryBindings } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Kysely } from "kysely";
import { type TempDir, tempDir } from "../../../test/harness/temp-dir.ts";
import { SqlAccess } from "./sql-access.ts";
import { SqlBlobRecords } from "./sql-blob-records.ts";
import { digestNumber, repositoryRef, tag } from "../storetest/sample-names.ts";
import { SqlLinks } from "./sql-links.ts";
import { SqlListings } from "./sql-listings.ts";
import { SqlHistory } from "./history/sql-history.ts";
import { migrate } from "./migrations.ts";
import { SqlPins } from "./sql-pins.ts";
import { SqliteDialect } from "./sqlite-dialect.ts";
import { SqliteFile } from "./sqlite-file.ts";
import type { Tables } from "./tables.ts";
import { SqlTags } from "./sql-tags.ts";
import { SqlTagHistory } from "./tag-policy/sql-tag-history.ts";
import { SqlVerifications } from "./tag-policy/sql-verifications.ts";

let dir: TempDir;
let file: SqliteFile;
let database: Database;
let statements: { readonly sql: string; readonly parameters: readonly unknown[] }[] = [];
let db: Kysely<Tables>;

beforeAll(async () => {
  dir = await tempDir("plans");
  file = new SqliteFile(dir.file("metadata.db"));
  await migrate(file.mainThreadDb);
  const recording = {
    run: (sql: string, parameters: readonly unknown[]) => {
      statements.push({ sql, parameters });
      return file.run(sql, parameters);
    },
  };
  db = new Kysely({ dialect: new SqliteDialect(recording, recording) });
  database = new Database(dir.file("metadata.db"), { readonly: true });
  await new SqlLinks(db).add(claims, [{ digest }]);
});

afterAll(async () => {
  database.close();
  await file.close();
  await dir[Symbol.asyncDispose]();
});

/** The query plan of the statements that some work runs, as SQLite explains it. */
async function planOf(work: () => Promise<unknown>): Promise<string> {
  statements = [];
  await work();
  return statements
    .filter(({ sql }) => sql !== "begin" && sql !== "commit")
    .flatMap(({ sql, parameters }) =>
      database
        .query<{ detail: string }, SQLQueryBindings[]>(`explain query plan ${sql}`)
        // The statements bind strings, numbers and null.
        .all(...(parameters as SQLQueryBindings[])),
    )
    .map(({ detail }) => detail)
    .join("; ");
}

const nginx = repositoryRef("docker.io", "library/nginx");
/** A repository that has only a claimed link. */
const claims = repositoryRef("docker.io", "claims");
const digest = digestNumber(1);
const [usedAt, storedAt] = [1, 1];

test.each<[string, (db: Kysely<Tables>) => Promise<unknown>, string]>([
  [
    "the record of a tag",
    (on) => new SqlTags(on).get(nginx, tag("latest")),
    "(upstream=? AND repository=? AND tag=?)",
  ],
  [
    "the tags of a repository",
    (on) => new SqlTags(on).list(nginx),
    "(upstream=? AND repository=?)",
  ],
  [
    "a page of tags",
    (on) => new SqlTags(on).all(9, { repo: nginx, tag: tag("a") }),
    "((upstream,repository,tag)>(?,?,?))",
  ],
  [
    "a link",
    (on) => new SqlLinks(on).get(nginx, digest),
    "(upstream=? AND repository=? AND digest=?)",
  ],
  [
    "whether a digest came from an upstream",
    (on) => new SqlLinks(on).get(claims, digest),
    "links_by_digest (digest=? AND upstream=? AND confirmed=?)",
  ],
  [
    "the upstreams of a digest",
    (on) => new SqlLinks(on).upstreams(digest),
    "COVERING INDEX links_by_digest",
  ],
  [
    "which digests are visible in an upstream",
    (on) => new SqlLinks(on).visibleIn(nginx.upstream, [digest]),
    "COVERING INDEX links_by_digest (digest=? AND upstream=?)",
  ],
  [
    "what a tag pointed to",
    (on) => new SqlTagHistory(on).of(nginx, tag("latest")),
    "USING PRIMARY KEY (upstream=? AND repository=? AND tag=?)",
  ],
  [
    "what many tags pointed to",
    (on) => new SqlTagHistory(on).ofEach(nginx, [tag("latest"), tag("1")]),
    "USING PRIMARY KEY (upstream=? AND repository=? AND tag=?)",
  ],
  [
    "since when many tags are known",
    (on) => new SqlTagHistory(on).firstSeen(nginx, [tag("latest"), tag("1")]),
    "USING PRIMARY KEY (upstream=? AND repository=? AND tag=?)",
  ],
  [
    "that a client got what a tag pointed to",
    (on) => new SqlTagHistory(on).served(nginx, tag("latest"), digest, 1),
    "USING PRIMARY KEY (upstream=? AND repository=? AND tag=? AND position=?)",
  ],
  [
    "the tags that had a digest",
    (on) => new SqlTagHistory(on).tags(nginx, 9, digest),
    "tag_history_by_digest (upstream=? AND repository=? AND digest=?)",
  ],
  [
    "when a digest was first seen",
    (on) => new SqlTagHistory(on).digestSeen(nginx, digest, 1),
    "seen_digests USING PRIMARY KEY (upstream=? AND repository=? AND digest=?)",
  ],
  [
    "the tags that have moved",
    (on) => new SqlTagHistory(on).moved(9, { repo: nginx, tag: tag("a") }),
    "COVERING INDEX tag_history_of_moved",
  ],
  ["stays in the future", (on) => new SqlTagHistory(on).clampTimes(1), "tag_history_by_use"],
  [
    "what was found of signatures",
    (on) => new SqlVerifications(on).get(nginx, digest, "r1"),
    "USING PRIMARY KEY (upstream=? AND repository=? AND digest=? AND revision=?)",
  ],
  [
    "what was found of the signatures of many digests",
    (on) => new SqlVerifications(on).find(nginx, [digest], "r1"),
    "USING PRIMARY KEY (upstream=? AND repository=? AND digest=? AND revision=?)",
  ],
  [
    "what failed last",
    (on) => new SqlVerifications(on).failed(["r1", "r2"], 9),
    "verifications_by_outcome (outcome=?)",
  ],
  ["the nodes that pulled last", (on) => new SqlHistory(on).nodes(9), "nodes_by_pull"],
  ["a page of linked digests", (on) => new SqlLinks(on).digests(9, digest), "(digest>?)"],
  [
    "links of unstored blobs",
    (on) => new SqlLinks(on).removeUnstored([digest], { from: 1, until: 2 }),
    "(digest=?)",
  ],
  [
    "a page of repositories",
    (on) => new SqlLinks(on).repositories(nginx.upstream, 9, "library/a"),
    "(upstream=? AND repository>?)",
  ],
  ["the record of a blob", (on) => new SqlBlobRecords(on).get(digest), "(digest=?)"],
  [
    "the records of some blobs",
    (on) => new SqlBlobRecords(on).find([digest, digestNumber(2)]),
    "(digest=?)",
  ],
  ["a page of blob records", (on) => new SqlBlobRecords(on).page(9, digest), "(digest>?)"],
  [
    "a page in LRU order",
    (on) => new SqlBlobRecords(on).leastRecentlyUsed(9, { usedAt, digest }),
    "blobs_by_use ((used_at,digest)>(?,?))",
  ],
  [
    "a page of old blobs",
    (on) => new SqlBlobRecords(on).storedBefore(9, 9, { storedAt, digest }),
    "blobs_by_age",
  ],
  [
    "the total",
    (on) => new SqlBlobRecords(on).total(4096),
    "SEARCH totals USING INTEGER PRIMARY KEY",
  ],
  [
    "writing access times",
    (on) => new SqlBlobRecords(on).touch(new Map([[digest, 5]])),
    "SEARCH blobs USING INDEX",
  ],
  [
    "a listing",
    (on) => new SqlListings(on).get(nginx, "tags"),
    "(upstream=? AND repository=? AND key=?)",
  ],
  [
    "what is known of access",
    (on) => new SqlAccess(on).get(nginx),
    "(upstream=? AND repository=?)",
  ],
  ["the list of pins", (on) => new SqlPins(on).list(), "sqlite_autoindex_pins"],
])("%s uses an index, and does not sort", async (_, work, expected) => {
  const plan = await planOf(() => work(db));
  expect(plan).toContain(expected);
  expect(plan).not.toContain("TEMP B-TREE");
});
