import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { stat } from "node:fs/promises";
import { tempDir } from "../../../test/harness/places.ts";
import { until } from "../../../test/harness/waiting.ts";
import { rejection } from "../storetest/writing.ts";
import { digestNumber, repositoryRef } from "../storetest/sample-names.ts";
import { LOG_PAGES, WriterError, WriterThread } from "./writer-thread.ts";
import { openMetadata } from "./open-metadata.ts";
import { wasShutDownCleanly } from "./clean-shutdown.ts";
import { SqliteFile } from "./sqlite-file.ts";

test("the log goes into the file beside those who write and read, and the end is in good order", async () => {
  await using dir = await tempDir("index");
  const path = dir.file("metadata.db");
  const metadata = await openMetadata(path);
  const written = async (): Promise<number> => (await stat(path)).size;
  const before = await written();
  const count = LOG_PAGES / 2;
  for (let at = 0; at < count; at += 1) {
    await metadata.blobs.put({ digest: digestNumber(at), size: at }, at);
  }
  await until(async () => (await written()) > before + 100_000, {
    what: "the log to be in the file",
  });
  expect((await metadata.blobs.total()).count).toBe(count);
  await metadata.close();
  expect(wasShutDownCleanly(path)).toBe(true);
});

test("who only reads does not wait for who writes", async () => {
  await using dir = await tempDir("index");
  const path = dir.file("metadata.db");
  const metadata = await openMetadata(path);
  const nginx = repositoryRef("docker.io", "library/nginx");
  await metadata.links.add(nginx, [{ digest: digestNumber(1), size: 7 }]);
  const other = new Database(path);
  other.run("begin immediate");
  // It waits for the lock of a stranger, for up to 5 s, and this thread goes on.
  const writing = metadata.blobs.put({ digest: digestNumber(1), size: 7 }, 1);
  expect(await metadata.links.upstreams(digestNumber(1))).toEqual([nginx.upstream]);
  expect(await metadata.blobs.get(digestNumber(1))).toBeUndefined();
  other.run("rollback");
  other.close();
  await writing;
  expect(await metadata.blobs.get(digestNumber(1))).toEqual({ digest: digestNumber(1), size: 7 });
  await metadata.close();
});

test("what is being written when it is closed is written, and nothing after it", async () => {
  await using dir = await tempDir("index");
  const path = dir.file("metadata.db");
  const metadata = await openMetadata(path);
  const puts = Array.from({ length: 100 }, (_, at) =>
    metadata.blobs.put({ digest: digestNumber(at), size: at }, at),
  );
  // Kysely asks in the next turn: what is to be written is on its way by then.
  await Promise.race(puts);
  const closing = metadata.close();
  const late = await rejection(metadata.blobs.put({ digest: digestNumber(100), size: 1 }, 1));
  expect(String(late)).toContain("the metadata database: ");
  await Promise.all([...puts, closing]);
  const again = await openMetadata(path);
  expect((await again.blobs.total()).count).toBe(100);
  await again.close();
});

test("a transaction is whole, and others wait for its end", async () => {
  await using dir = await tempDir("index");
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
    throw new Error("no more of it");
  });
  const [error] = await Promise.all([
    rejection(failing),
    insert(file.db, "beside"),
    file.db.transaction().execute((transaction) => insert(transaction, "within")),
  ]);
  expect(String(error)).toContain("no more of it");
  const rows = await file.mainThreadDb
    .selectFrom("pins")
    .select("pattern")
    .orderBy("pattern")
    .execute();
  expect(rows.map(({ pattern }) => pattern)).toEqual(["beside", "within"]);
  await file.close();
});

test("where the thread ends, what waits fails, and the rest is done without it", async () => {
  await using dir = await tempDir("index");
  const asked: string[] = [];
  const here = {
    run: async (sql: string) => {
      asked.push(sql);
      return { rows: [], changes: 1 };
    },
  };
  const program = `self.onmessage = ({ data }) => { if (data.sql) throw new Error("out of luck"); };`;
  const writer = new WriterThread(dir.file("metadata.db"), 0, here, program);
  expect(String(await rejection(writer.run("first", [])))).toContain("its writer ended");
  expect(await writer.run("second", [])).toEqual({ rows: [], changes: 1 });
  expect(asked).toEqual(["second"]);
  await writer.close();
  expect(String(await rejection(writer.run("third", [])))).toContain("it is closed");
});

test("a refusal of SQLite keeps its code", async () => {
  await using dir = await tempDir("index");
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

test("of those that wait for a stranger's lock, only the first waits long", async () => {
  await using dir = await tempDir("index");
  const path = dir.file("metadata.db");
  await (await openMetadata(path)).close();
  const file = new SqliteFile(path);
  const writer = new WriterThread(path, 1000, file);
  using other = new Database(path);
  other.run("begin immediate");
  const write = () => writer.run("insert into pins values (?, '[]', 1)", [crypto.randomUUID()]);
  const began = performance.now();
  const refused = await Promise.all(Array.from({ length: 8 }, () => rejection(write())));
  expect(performance.now() - began).toBeLessThan(3000);
  for (const error of refused)
    expect(error instanceof WriterError && error.code).toBe("SQLITE_BUSY");
  other.run("rollback");
  await write();
  // Who comes once it was free waits as long as anybody.
  other.run("begin immediate");
  const waiting = write();
  // The time is what is asked about here: longer than the others waited.
  await Bun.sleep(300);
  other.run("rollback");
  expect((await waiting).changes).toBe(1);
  await writer.close();
  await file.close();
});
