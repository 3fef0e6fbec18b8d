import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fault } from "../../oci/fault.ts";
import { rejection } from "../storetest/writing.ts";
import { metadataConformance } from "../storetest/metadata-conformance.ts";
import { digestNumber, repositoryRef, tag } from "../storetest/sample-names.ts";
import { SCHEMA_VERSION } from "./migrations.ts";
import { MetadataError, openMetadata } from "./open-metadata.ts";

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "entrepot-index-"));
  path = join(directory, "metadata.db");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

metadataConformance("SQLite in a file", async () => {
  const metadata = await openMetadata(path);
  return { metadata, close: () => metadata.close() };
});

metadataConformance("SQLite in memory", async () => {
  const metadata = await openMetadata(":memory:");
  return { metadata, close: () => metadata.close() };
});

async function indexError(work: Promise<unknown>): Promise<MetadataError> {
  const error = await rejection(work);
  if (error instanceof MetadataError) return error;
  throw new Error("it failed otherwise", { cause: error });
}

describe("an index in a SQLite file", () => {
  const nginx = repositoryRef("docker.io", "library/nginx");

  test("has its facts when it is opened again", async () => {
    const first = await openMetadata(path);
    await first.tags.put(nginx, tag("latest"), { digest: digestNumber(1), checkedAt: 7 });
    await first.close();
    const second = await openMetadata(path);
    const fact = { digest: digestNumber(1), checkedAt: 7 };
    expect(await second.tags.get(nginx, tag("latest"))).toEqual(fact);
    await second.close();
  });

  test("has its facts after kill -9", async () => {
    const program = `
      import { openMetadata } from ${JSON.stringify(join(import.meta.dir, "open-metadata.ts"))};
      const metadata = await openMetadata(${JSON.stringify(path)});
      for (let size = 1; ; size += 1) {
        await metadata.blobs.put({ digest: ${JSON.stringify(digestNumber(1))}, size }, size);
        if (size === 100) console.log("written");
        if (size % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    `;
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toContain("written");
    child.kill("SIGKILL");
    await child.exited;
    const metadata = await openMetadata(path);
    const content = await metadata.blobs.get(digestNumber(1));
    expect(content?.size).toBeGreaterThanOrEqual(100);
    await metadata.close();
  });

  test("writes the later use time, whatever came last", async () => {
    const metadata = await openMetadata(path);
    await metadata.blobs.put({ digest: digestNumber(1), size: 1 }, 10);
    await metadata.blobs.touch(new Map([[digestNumber(1), 30]]));
    await metadata.blobs.touch(new Map([[digestNumber(1), 20]]));
    await metadata.close();
    const database = new Database(path, { readonly: true });
    expect(database.query("select used_at from blobs").get()).toEqual({ used_at: 30 });
    database.close();
  });

  test("is refused untouched where a newer Entrepot wrote it", async () => {
    await (await openMetadata(path)).close();
    const database = new Database(path);
    database.run(`update schema_version set version = ${SCHEMA_VERSION + 1}`);
    database.run("alter table tags rename to labels");
    database.close();
    const before = await readFile(path);
    const error = await indexError(openMetadata(path));
    expect(error.kind).toBe("newer");
    expect(error.message).toBe(
      `the index ${path} was written by a newer Entrepot: the tables have version ${SCHEMA_VERSION + 1}, and this Entrepot knows them up to ${SCHEMA_VERSION}. Run that version, or use another storage.dir`,
    );
    expect(await readFile(path)).toEqual(before);
  });

  test.each([
    ["something else", async () => writeFile(path, "this is no database at all. ".repeat(400))],
    ["cut short", async () => truncate(path, 8192)],
    [
      "overwritten in its middle",
      async () => {
        const bytes = await readFile(path);
        await writeFile(path, bytes.fill(0xa5, 100, 4096));
      },
    ],
  ])("is refused where the file is %s", async (_, damage) => {
    const metadata = await openMetadata(path);
    for (let at = 0; at < 200; at += 1) {
      await metadata.blobs.put({ digest: digestNumber(at), size: at }, at);
    }
    await metadata.close();
    await damage();
    const before = await readFile(path);
    const error = await indexError(openMetadata(path));
    expect(error.kind).toBe("damaged");
    expect(error.message).toStartWith(`the index ${path} is damaged: `);
    expect(error.message).toContain("Move it away and start again");
    expect(await readFile(path)).toEqual(before);
  });

  test("brings tables of an earlier version up to date, and keeps what is in them", async () => {
    const metadata = await openMetadata(path);
    await metadata.blobs.put({ digest: digestNumber(1), size: 1 }, 10);
    await metadata.close();
    const database = new Database(path);
    database.run("drop index blobs_by_use");
    database.run("drop index blobs_by_age");
    database.run("alter table blobs rename to contents");
    database.run("create index contents_by_use on contents (used_at, size)");
    database.run("create index contents_by_age on contents (stored_at)");
    database.run("update schema_version set version = 2");
    database.close();
    const opened = await openMetadata(path);
    expect(await opened.blobs.leastRecentlyUsed(2)).toEqual([
      { digest: digestNumber(1), size: 1, storedAt: 10, usedAt: 10 },
    ]);
    await opened.close();
    const after = new Database(path, { readonly: true });
    expect(after.query("select version from schema_version").get()).toEqual({
      version: SCHEMA_VERSION,
    });
    const columns = after.query("select group_concat(name) as names from pragma_index_info(?)");
    expect(columns.get("blobs_by_use")).toEqual({ names: "used_at,digest,size" });
    expect(columns.get("blobs_by_age")).toEqual({ names: "stored_at,digest" });
    after.close();
  });

  test("names the path where it cannot be opened", async () => {
    const error = await indexError(openMetadata(join(path, "below", "metadata.db")));
    expect(error.kind).toBe("unopenable");
    expect(error.message).toContain(path);
  });

  test("fails with a fault of the storage where the database does", async () => {
    const metadata = await openMetadata(path);
    const other = new Database(path);
    other.run("drop table listings");
    other.close();
    const error = await rejection(metadata.listings.get(nginx, "tags"));
    expect(error instanceof Fault && error.detail.kind).toBe("storage");
    await metadata.close();
  });

  test("gives back to the disk what many facts took that are gone", async () => {
    const metadata = await openMetadata(path);
    const digests = Array.from({ length: 20_000 }, (_, at) => digestNumber(at));
    await Promise.all(digests.map((digest) => metadata.blobs.put({ digest, size: 1 }, 1)));
    const full = await metadata.bytes();
    for (let first = 0; first < 18_000; first += 500) {
      await metadata.blobs.remove(digests.slice(first, first + 500));
    }
    expect(await metadata.bytes()).toBeLessThan(full / 3);
    await metadata.shrink();
    expect((await metadata.blobs.total()).count).toBe(2000);
    const after = await metadata.bytes();
    await metadata.close();
    expect((await stat(path)).size).toBe(after);
  });

  test("has readers beside its writer", async () => {
    await (await openMetadata(path)).close();
    const database = new Database(path, { readonly: true });
    expect(database.query("pragma journal_mode").get()).toEqual({ journal_mode: "wal" });
    database.close();
  });
});
