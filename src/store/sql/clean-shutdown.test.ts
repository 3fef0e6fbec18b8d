import { expect, test } from "bun:test";
import {
  copyFile,
  mkdtemp,
  open,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fault } from "../../oci/fault.ts";
import { rejection } from "../storetest/writing.ts";
import { until } from "../../../test/harness/waiting.ts";
import { digestNumber, repositoryRef, tag } from "../storetest/sample-names.ts";
import { MetadataError, openMetadata } from "./open-metadata.ts";
import { clearCleanShutdown, wasShutDownCleanly } from "./clean-shutdown.ts";
import { isDamage } from "./sqlite-file.ts";

const ROWS = 2000;

/** The first pages of the file, in which the schema is: with them, it can be opened. */
const SCHEMA_BYTES = 196_608;

async function withFolder(work: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "entrepot-clean-"));
  try {
    await work(join(folder, "metadata.db"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function createDatabase(path: string): Promise<void> {
  const metadata = await openMetadata(path);
  for (let at = 0; at < ROWS; at += 1) {
    await metadata.blobs.put({ digest: digestNumber(at), size: at }, at);
  }
  await metadata.close();
}

/** Overwrites all pages but the first ones, in the same file. */
async function overwritePages(path: string): Promise<void> {
  const file = await open(path, "r+");
  const { size } = await file.stat();
  const rows = size - SCHEMA_BYTES;
  await file.write(Buffer.alloc(rows), 0, rows, SCHEMA_BYTES);
  await file.close();
}

async function copyOver(path: string): Promise<void> {
  await copyFile(path, `${path}.new`);
  await rename(`${path}.new`, path);
}

test("a closed database has a clean-shutdown marker, and an open one has none", () =>
  withFolder(async (path) => {
    await createDatabase(path);
    expect(wasShutDownCleanly(path)).toBe(true);
    const metadata = await openMetadata(path);
    expect(wasShutDownCleanly(path)).toBe(false);
    await metadata.close();
    expect(wasShutDownCleanly(path)).toBe(true);
  }));

test.each([
  ["was written to, and its times were set back", overwritePages],
  ["is a copy of itself", copyOver],
  ["has a write-ahead log beside it", async (path: string) => writeFile(`${path}-wal`, "")],
  ["is missing", async (path: string) => rm(path)],
])("the clean-shutdown marker is not valid when the file %s", (_, change) =>
  withFolder(async (path) => {
    await createDatabase(path);
    const { atime, mtime } = await stat(path);
    await change(path);
    if (await Bun.file(path).exists()) await utimes(path, atime, mtime);
    expect(wasShutDownCleanly(path)).toBe(false);
  }),
);

test("a database is closed although its file cannot be looked at any more", () =>
  withFolder(async (path) => {
    const metadata = await openMetadata(path);
    await rm(path);
    await symlink(path, path);
    await metadata.close();
    await rm(path);
    expect(wasShutDownCleanly(path)).toBe(false);
  }));

test("a killed process leaves no clean-shutdown marker", () =>
  withFolder(async (path) => {
    await createDatabase(path);
    const program = `
      import { openMetadata } from ${JSON.stringify(join(import.meta.dir, "open-metadata.ts"))};
      const metadata = await openMetadata(${JSON.stringify(path)});
      await metadata.blobs.remove([${JSON.stringify(digestNumber(1))}]);
      console.log("written");
      await Promise.withResolvers().promise;
    `;
    const child = Bun.spawn([process.execPath, "-e", `setInterval(() => {}, 1000);${program}`], {
      stdout: "pipe",
    });
    await child.stdout.getReader().read();
    child.kill("SIGKILL");
    await child.exited;
    expect(wasShutDownCleanly(path)).toBe(false);
    const metadata = await openMetadata(path);
    expect((await metadata.blobs.total(1)).count).toBe(ROWS - 1);
    await metadata.close();
  }));

test("a database that was found damaged while open is refused at the next start", () =>
  withFolder(async (path) => {
    await createDatabase(path);
    const metadata = await openMetadata(path);
    await overwritePages(path);
    const error = await rejection(metadata.blobs.page(ROWS));
    expect(error instanceof Fault && error.message).toContain("malformed");
    await metadata.close();
    expect(wasShutDownCleanly(path)).toBe(false);
    const reopened = await rejection(openMetadata(path));
    expect(reopened instanceof MetadataError && reopened.kind).toBe("damaged");
  }));

test("a large database is checked while it is in use, and is not marked before it was", () =>
  withFolder(async (path) => {
    const metadata = await openMetadata(path);
    const repo = repositoryRef("docker.io", "library/nginx");
    for (let at = 0; at < 40; at += 1) {
      const body = "x".repeat(1024 * 1024);
      await metadata.listings.put(repo, String(at), { body, checkedAt: at });
    }
    await metadata.close();
    clearCleanShutdown(path);
    await (await openMetadata(path)).close();
    expect(wasShutDownCleanly(path)).toBe(false);
    await overwritePages(path);
    const damaged = await openMetadata(path);
    const fault = await until(
      () =>
        damaged.tags.get(repo, tag("latest")).then(
          () => undefined,
          (error: unknown) => error,
        ),
      { what: "the damage to be found" },
    );
    expect(isDamage(fault)).toBe(true);
    await damaged.close();
    expect(wasShutDownCleanly(path)).toBe(false);
    const refused = await openMetadata(path, true).catch((error: unknown) => error);
    expect(refused instanceof MetadataError && refused.kind).toBe("damaged");
  }));
