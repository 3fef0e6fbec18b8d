import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { stat } from "node:fs/promises";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { until } from "../../../test/harness/waiting.ts";
import { rejection } from "../storetest/writing.ts";
import { digestNumber, repositoryRef } from "../storetest/sample-names.ts";
import { LOG_PAGES, WriterError, WriterThread } from "./writer-thread.ts";
import { openMetadata } from "./open-metadata.ts";
import { wasShutDownCleanly } from "./clean-shutdown.ts";
import { SqliteFile } from "./sqlite-file.ts";

test("the write-ahead log is checkpointed beside reads and writes, and the shutdown is clean", async () => {
  await using dir = await tempDir("metadata");
  const path = dir.file("metadata.db");
  const metadata = await openMetadata(path);
  const fileSize = async (): Promise<number> => (await stat(path)).size;
  const before = await fileSize();
  const count = LOG_PAGES / 2;
  for (let at = 0; at < count; at += 1) {
    await metadata.blobs.put({ digest: digestNumber(at), size: at }, at);
  }
  await until(async () => (await fileSize()) > before + 100_000, {
    what: "the log to be checkpointed",
  });
  expect((await metadata.blobs.total(1)).count).toBe(count);
  await metadata.close();
  expect(wasShutDownCleanly(path)).toBe(true);
});

test("reads do not wait for writes", async () => {
  await using dir = await tempDir("metadata");
  const path = dir.file("metadata.db");
  const metadata = await openMetadata(path);
  const nginx = repositoryRef("docker.io", "library/nginx");
  await metadata.links.add(nginx, [{ digest: digestNumber(1), size: 7 }]);
  const other = new Database(path);
  other.run("begin immediate");
  // It waits for the other connection's lock, for up to 5 s, without blocking this thread.
  const writing = metadata.blobs.put({ digest: digestNumber(1), size: 7 }, 1);
  expect(await metadata.links.upstreams(digestNumber(1))).toEqual([nginx.upstream]);
  expect(await metadata.blobs.get(digestNumber(1))).toBeUndefined();
  other.run("rollback");
  other.close();
  await writing;
  expect(await metadata.blobs.get(digestNumber(1))).toEqual({ digest: digestNumber(1), size: 7 });
  await metadata.close();
});

test("`close` waits for pending writes, and later ones are rejected", async () => {
  await using dir = await tempDir("metadata");
  const path = dir.file("metadata.db");
  const metadata = await openMetadata(path);
  const puts = Array.from({ length: 100 }, (_, at) =>
    metadata.blobs.put({ digest: digestNumber(at), size: at }, at),
  );
  // Kysely sends statements in the next turn, so all of them are pending by then.
  await Promise.race(puts);
  const closing = metadata.close();
  const late = await rejection(metadata.blobs.put({ digest: digestNumber(100), size: 1 }, 1));
  expect(String(late)).toContain("the metadata database failed: ");
  await Promise.all([...puts, closing]);
  const reopened = await openMetadata(path);
  expect((await reopened.blobs.total(1)).count).toBe(100);
  await reopened.close();
});

test("a transaction that fails is rolled back, and other writes wait for its end", async () => {
  await using dir = await tempDir("metadata");
  const file = new SqliteFile(dir.file("metadata.db"));
  await file.mainThreadDb.schema.createTable("pins").addColumn("pattern", "text").execute();
  const insert = (db: typeof file.db, pattern: string) =>
    db
      .insertInto("pins")
      .columns(["pattern"])
      .expression(db.selectNoFrom((select) => [select.val(pattern).as("pattern")]))
      .execute();
  const failing = file.db.transaction().execute(async (transaction) => {
    await insert(transaction, "never");
    throw new Error("rolled back");
  });
  const [error] = await Promise.all([
    rejection(failing),
    insert(file.db, "beside"),
    file.db.transaction().execute((transaction) => insert(transaction, "within")),
  ]);
  expect(String(error)).toContain("rolled back");
  const rows = await file.mainThreadDb
    .selectFrom("pins")
    .select("pattern")
    .orderBy("pattern")
    .execute();
  expect(rows.map(({ pattern }) => pattern)).toEqual(["beside", "within"]);
  await file.close();
});

test("when the thread fails, pending statements reject and later ones run in the fallback", async () => {
  await using dir = await tempDir("metadata");
  const statements: string[] = [];
  const fallback = {
    run: async (sql: string) => {
      statements.push(sql);
      return { rows: [], changes: 1 };
    },
  };
  const program = `self.onmessage = ({ data }) => { if (data.sql) throw new Error("broken"); };`;
  const writer = new WriterThread(dir.file("metadata.db"), 0, fallback, program);
  expect(String(await rejection(writer.run("first", [])))).toContain("the writer thread failed");
  expect(await writer.run("second", [])).toEqual({ rows: [], changes: 1 });
  expect(statements).toEqual(["second"]);
  await writer.close();
  expect(String(await rejection(writer.run("third", [])))).toContain("the database is closed");
});

test("an error of SQLite keeps its code", async () => {
  await using dir = await tempDir("metadata");
  const path = dir.file("metadata.db");
  const file = new SqliteFile(path);
  await file.mainThreadDb.schema
    .createTable("pins")
    .addColumn("pattern", "text", (column) => column.unique())
    .execute();
  const writer = new WriterThread(path, 0, file);
  await writer.run("insert into pins values (?)", ["a"]);
  const error = await rejection(writer.run("insert into pins values (?)", ["a"]));
  expect(error instanceof WriterError && error.code).toBe("SQLITE_CONSTRAINT_UNIQUE");
  expect((await writer.run("select pattern from pins", [])).rows).toEqual([{ pattern: "a" }]);
  await writer.close();
  await file.close();
});

test("of several writes that wait for another connection's lock, only the first waits for the full timeout", async () => {
  await using dir = await tempDir("metadata");
  const path = dir.file("metadata.db");
  await (await openMetadata(path)).close();
  const file = new SqliteFile(path);
  const writer = new WriterThread(path, 1000, file);
  using other = new Database(path);
  other.run("begin immediate");
  const write = () => writer.run("insert into pins values (?, '[]', 1)", [crypto.randomUUID()]);
  const startedAt = performance.now();
  const errors = await Promise.all(Array.from({ length: 8 }, () => rejection(write())));
  expect(performance.now() - startedAt).toBeLessThan(3000);
  for (const error of errors)
    expect(error instanceof WriterError && error.code).toBe("SQLITE_BUSY");
  other.run("rollback");
  await write();
  // After a write has succeeded, the next one waits for the full timeout again.
  other.run("begin immediate");
  const waiting = write();
  // This sleep is what is tested: it is longer than the short timeout of the other writes.
  await Bun.sleep(300);
  other.run("rollback");
  expect((await waiting).changes).toBe(1);
  await writer.close();
  await file.close();
});
