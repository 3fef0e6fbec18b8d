import { Database, type SQLQueryBindings } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Kysely } from "kysely";
import { type TempDir, tempDir } from "../../../test/harness/places.ts";
import { SqlBlobRecords } from "./sql-blob-records.ts";
import { digestNumber, repositoryRef, tag } from "../storetest/sample-names.ts";
import { SqlLinks } from "./sql-links.ts";
import { SqlListings } from "./sql-listings.ts";
import { migrate } from "./migrations.ts";
import { SqlPins } from "./sql-pins.ts";
import { SqliteDialect } from "./sqlite-dialect.ts";
import { SqliteFile } from "./sqlite-file.ts";
import type { Tables } from "./tables.ts";
import { SqlTags } from "./sql-tags.ts";

let dir: TempDir;
let file: SqliteFile;
let database: Database;
let asked: { readonly sql: string; readonly parameters: readonly unknown[] }[] = [];
let db: Kysely<Tables>;

beforeAll(async () => {
  dir = await tempDir("plans");
  file = new SqliteFile(dir.file("metadata.db"));
  await migrate(file.mainThreadDb);
  const listening = {
    run: (sql: string, parameters: readonly unknown[]) => {
      asked.push({ sql, parameters });
      return file.run(sql, parameters);
    },
  };
  db = new Kysely({ dialect: new SqliteDialect(listening, listening) });
  database = new Database(dir.file("metadata.db"), { readonly: true });
});

afterAll(async () => {
  database.close();
  await file.close();
  await dir[Symbol.asyncDispose]();
});

/** How SQLite would do what was asked, as it says it itself. */
async function planOf(work: () => Promise<unknown>): Promise<string> {
  asked = [];
  await work();
  return asked
    .filter(({ sql }) => sql !== "begin" && sql !== "commit")
    .flatMap(({ sql, parameters }) =>
      database
        .query<{ detail: string }, SQLQueryBindings[]>(`explain query plan ${sql}`)
        // The index binds strings, numbers and null.
        .all(...(parameters as SQLQueryBindings[])),
    )
    .map(({ detail }) => detail)
    .join("; ");
}

const nginx = repositoryRef("docker.io", "library/nginx");
const digest = digestNumber(1);
const [usedAt, storedAt] = [1, 1];

test.each<[string, (db: Kysely<Tables>) => Promise<unknown>, string]>([
  [
    "a tag",
    (on) => new SqlTags(on).get(nginx, tag("latest")),
    "(upstream=? AND repository=? AND tag=?)",
  ],
  ["tags of a repository", (on) => new SqlTags(on).list(nginx), "(upstream=? AND repository=?)"],
  [
    "the next tags",
    (on) => new SqlTags(on).all(9, { repo: nginx, tag: tag("a") }),
    "((upstream,repository,tag)>(?,?,?))",
  ],
  [
    "a link",
    (on) => new SqlLinks(on).get(nginx, digest),
    "(upstream=? AND repository=? AND digest=?)",
  ],
  [
    "upstreams of a content",
    (on) => new SqlLinks(on).upstreams(digest),
    "COVERING INDEX links_by_digest",
  ],
  [
    "what an upstream shows",
    (on) => new SqlLinks(on).visibleIn(nginx.upstream, [digest]),
    "COVERING INDEX links_by_digest (digest=? AND upstream=?)",
  ],
  ["the next links", (on) => new SqlLinks(on).digests(9, digest), "(digest>?)"],
  ["contents out of sight", (on) => new SqlLinks(on).removeUnstored([digest]), "(digest=?)"],
  [
    "the next repositories",
    (on) => new SqlLinks(on).repositories(nginx.upstream, 9, "library/a"),
    "(upstream=? AND repository>?)",
  ],
  ["a content", (on) => new SqlBlobRecords(on).get(digest), "(digest=?)"],
  ["some contents", (on) => new SqlBlobRecords(on).find([digest, digestNumber(2)]), "(digest=?)"],
  ["the next contents", (on) => new SqlBlobRecords(on).page(9, digest), "(digest>?)"],
  [
    "what was used least lately",
    (on) => new SqlBlobRecords(on).leastRecentlyUsed(9, { usedAt, digest }),
    "blobs_by_use ((used_at,digest)>(?,?))",
  ],
  [
    "what is old",
    (on) => new SqlBlobRecords(on).storedBefore(9, 9, { storedAt, digest }),
    "blobs_by_age",
  ],
  ["how much there is", (on) => new SqlBlobRecords(on).total(), "COVERING INDEX blobs_by_use"],
  [
    "times of use",
    (on) => new SqlBlobRecords(on).touch(new Map([[digest, 5]])),
    "SEARCH blobs USING INDEX",
  ],
  [
    "a list",
    (on) => new SqlListings(on).get(nginx, "tags"),
    "(upstream=? AND repository=? AND key=?)",
  ],
  ["pins", (on) => new SqlPins(on).list(), "sqlite_autoindex_pins"],
])("%s is found without reading all the rest, and without sorting", async (_, work, expected) => {
  const plan = await planOf(() => work(db));
  expect(plan).toContain(expected);
  expect(plan).not.toContain("TEMP B-TREE");
});
