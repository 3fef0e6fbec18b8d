import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { copyFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fault } from "../../oci/fault.ts";
import { rejection } from "../storetest/writing.ts";
import { metadataConformance } from "../storetest/metadata-conformance.ts";
import { downgradeMetadata } from "../storetest/earlier-schema.ts";
import { digestNumber, repositoryRef, tag } from "../storetest/sample-names.ts";
import { SCHEMA_VERSION } from "./migrations.ts";
import { MetadataError, openFrozenMetadata, openMetadata } from "./open-metadata.ts";
import { isRefusedWrite } from "./sqlite-file.ts";

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "entrepot-metadata-"));
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

async function metadataError(work: Promise<unknown>): Promise<MetadataError> {
  const error = await rejection(work);
  if (error instanceof MetadataError) return error;
  throw new Error("it failed with another error", { cause: error });
}

describe("a metadata database in a SQLite file", () => {
  const nginx = repositoryRef("docker.io", "library/nginx");

  test("has its records when it is reopened", async () => {
    const first = await openMetadata(path);
    await first.tags.put(nginx, tag("latest"), { digest: digestNumber(1), checkedAt: 7 });
    await first.close();
    const second = await openMetadata(path);
    const record = { digest: digestNumber(1), checkedAt: 7 };
    expect(await second.tags.get(nginx, tag("latest"))).toEqual(record);
    await second.close();
  });

  test("is read where nothing can be written, with the log that a killed process left", async () => {
    const first = await openMetadata(path);
    await first.blobs.put({ digest: digestNumber(1), size: 5000 }, 1);
    await first.blobs.total(4096);
    // It is in the write-ahead log only.
    const copied = join(directory, "copied.db");
    for (const suffix of ["", "-wal"]) await copyFile(path + suffix, copied + suffix);
    await first.close();
    const log = await readFile(`${copied}-wal`);
    for (const [file, count] of [
      [path, 1],
      [copied, 1],
      [":memory:", 0],
    ] as const) {
      const frozen = await openFrozenMetadata(file);
      // Of a file system with other blocks than when it was written.
      const total = { count, bytes: count * 5000, diskBytes: count * 5120 };
      expect(await frozen.blobs.total(1024)).toEqual(total);
      const refused = await rejection(frozen.blobs.put({ digest: digestNumber(2), size: 1 }, 2));
      expect(isRefusedWrite(refused)).toBe(true);
      expect(refused).toMatchObject({ detail: { kind: "no-space" } });
      await frozen.close();
    }
    expect(await readFile(`${copied}-wal`)).toEqual(log);
  });

  test("has its records after kill -9", async () => {
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
    const record = await metadata.blobs.get(digestNumber(1));
    expect(record?.size).toBeGreaterThanOrEqual(100);
    await metadata.close();
  });

  test("keeps the latest access time, in whatever order times are written", async () => {
    const metadata = await openMetadata(path);
    await metadata.blobs.put({ digest: digestNumber(1), size: 1 }, 10);
    await metadata.blobs.touch(new Map([[digestNumber(1), 30]]));
    await metadata.blobs.touch(new Map([[digestNumber(1), 20]]));
    await metadata.close();
    const database = new Database(path, { readonly: true });
    expect(database.query("select used_at from blobs").get()).toEqual({ used_at: 30 });
    database.close();
  });

  test("is refused and left unchanged when a newer Entrepot wrote it", async () => {
    await (await openMetadata(path)).close();
    const database = new Database(path);
    database.run(`update schema_version set version = ${SCHEMA_VERSION + 1}`);
    database.run("alter table tags rename to labels");
    database.close();
    const before = await readFile(path);
    const error = await metadataError(openMetadata(path));
    expect(error.kind).toBe("newer");
    expect(error.message).toBe(
      `the metadata database ${path} was written by a newer Entrepot: its schema has version ${SCHEMA_VERSION + 1}, and this version supports versions up to ${SCHEMA_VERSION}. Run the newer version, or set storage.dir to another directory`,
    );
    expect(await readFile(path)).toEqual(before);
  });

  test.each([
    ["not a database", async () => writeFile(path, "this is no database at all. ".repeat(400))],
    ["truncated", async () => truncate(path, 8192)],
    [
      "overwritten in its middle",
      async () => {
        const bytes = await readFile(path);
        await writeFile(path, bytes.fill(0xa5, 100, 4096));
      },
    ],
  ])("is refused when its file is %s", async (_, damage) => {
    const metadata = await openMetadata(path);
    for (let at = 0; at < 200; at += 1) {
      await metadata.blobs.put({ digest: digestNumber(at), size: at }, at);
    }
    await metadata.close();
    await damage();
    const before = await readFile(path);
    const error = await metadataError(openMetadata(path));
    expect(error.kind).toBe("damaged");
    expect(error.message).toStartWith(`the metadata database ${path} is damaged: `);
    expect(error.message).toContain("Move it away and start again");
    expect(await readFile(path)).toEqual(before);
  });

  test("of an earlier version is migrated, with its rows", async () => {
    const metadata = await openMetadata(path);
    await metadata.blobs.put({ digest: digestNumber(1), size: 1 }, 10);
    await metadata.close();
    downgradeMetadata(path, 2);
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

  test("of an earlier version has confirmed links where the upstream itself gave the blob", async () => {
    const mirror = repositoryRef("ghcr.io", "mirror");
    const [alone, unstored, shared, answered, tagged] = [1, 2, 3, 4, 5].map(digestNumber);
    if (!alone || !unstored || !shared || !answered || !tagged) throw new Error("there are five");
    const metadata = await openMetadata(path);
    for (const digest of [alone, shared, answered, tagged]) {
      await metadata.blobs.put({ digest, size: 1 }, 10);
    }
    const all = [alone, unstored, shared, answered, tagged];
    await metadata.links.add(
      nginx,
      all.map((digest) => (digest === answered ? { digest } : { digest, size: 1 })),
    );
    await metadata.links.add(
      mirror,
      [shared, answered, tagged].map((digest) => ({ digest, size: 1 })),
    );
    await metadata.tags.put(nginx, tag("1"), { digest: tagged, checkedAt: 7 });
    await metadata.close();
    downgradeMetadata(path, 4);
    const opened = await openMetadata(path);
    const confirmed: Record<string, boolean[]> = {};
    for (const repo of [nginx, mirror]) {
      const links = await Promise.all(all.map((digest) => opened.links.get(repo, digest)));
      confirmed[repo.upstream] = links.map((link) => link?.confirmed === true);
    }
    expect(confirmed).toEqual({
      "docker.io": [true, false, false, true, true],
      "ghcr.io": [false, false, false, false, false],
    });
    await opened.close();
  });

  test("names the path when it cannot be opened", async () => {
    const error = await metadataError(openMetadata(join(path, "below", "metadata.db")));
    expect(error.kind).toBe("unopenable");
    expect(error.message).toContain(path);
  });

  test("rejects with a storage Fault when a statement fails", async () => {
    const metadata = await openMetadata(path);
    const other = new Database(path);
    other.run("drop table listings");
    other.close();
    const error = await rejection(metadata.listings.get(nginx, "tags"));
    expect(error instanceof Fault && error.detail.kind).toBe("storage");
    await metadata.close();
  });

  test("returns the space of removed records to the file system when there is much of it", async () => {
    const metadata = await openMetadata(path);
    const digests = Array.from({ length: 20_000 }, (_, at) => digestNumber(at));
    await Promise.all(digests.map((digest) => metadata.blobs.put({ digest, size: 1 }, 1)));
    const full = await metadata.bytes();
    const onDisk = (await stat(path)).size + (await stat(`${path}-wal`)).size;
    expect(full).toBeGreaterThanOrEqual(onDisk);
    for (let first = 0; first < 18_000; first += 500) {
      await metadata.blobs.remove(digests.slice(first, first + 500));
    }
    await metadata.shrink();
    expect((await metadata.blobs.total(1)).count).toBe(2000);
    await metadata.close();
    expect((await stat(path)).size).toBeLessThan(full / 10);
  });

  test("uses a write-ahead log, so that readers do not wait for the writer", async () => {
    await (await openMetadata(path)).close();
    const database = new Database(path, { readonly: true });
    expect(database.query("pragma journal_mode").get()).toEqual({ journal_mode: "wal" });
    database.close();
  });
});
