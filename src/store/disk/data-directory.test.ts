import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmod,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rejection } from "../storetest/writing.ts";
import { DataDirectoryError, openDataDirectory } from "./data-directory.ts";

let parent: string;
let path: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "entrepot-data-"));
  path = join(parent, "var", "entrepot");
});
afterEach(() => rm(parent, { recursive: true, force: true }));

async function directoryError(work: Promise<unknown>): Promise<DataDirectoryError> {
  const error = await rejection(work);
  if (error instanceof DataDirectoryError) return error;
  throw new Error("it failed otherwise", { cause: error });
}

/** A process that opens the directory and stays, once it has said so. */
async function holder(): Promise<Bun.Subprocess<"ignore", "pipe", "inherit">> {
  const program = `
    import { openDataDirectory } from ${JSON.stringify(join(import.meta.dir, "data-directory.ts"))};
    const directory = await openDataDirectory(${JSON.stringify(path)});
    process.on("SIGTERM", async () => { await directory.close(); process.exit(0); });
    console.log("held");
    setInterval(() => undefined, 1000);
  `;
  const child = Bun.spawn([process.execPath, "-e", program], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const { value } = await child.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toContain("held");
  return child;
}

describe("a data directory", () => {
  test("is made, for its owner alone, and its parents for all", async () => {
    const directory = await openDataDirectory(path);
    expect(directory.path).toBe(path);
    expect(directory.metadataPath).toBe(join(path, "metadata.db"));
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect((await stat(join(parent, "var"))).mode & 0o077).not.toBe(0);
    expect((await readdir(path)).toSorted()).toEqual(["format", "lock", "lock.pid"]);
    expect(await readFile(join(path, "lock.pid"), "utf8")).toBe(`${process.pid}\n`);
    await directory.close();
    await directory.close();
    expect((await readdir(path)).toSorted()).toEqual(["format", "lock"]);
  });

  test("of format 1 is upgraded by renames, and a crash in between loses nothing", async () => {
    await mkdir(join(path, "facts/sha256"), { recursive: true });
    await writeFile(join(path, "facts/pins.json"), "[]");
    await mkdir(join(path, "set-aside"));
    for (const name of ["index.db", "index.db-wal", "index.db.remaking"]) {
      await writeFile(join(path, name), name);
    }
    await writeFile(join(path, "format"), "1\n");
    // As a crash leaves it that came after the first rename.
    await rename(join(path, "index.db-wal"), join(path, "metadata.db-wal"));

    await using stack = new AsyncDisposableStack();
    const directory = await openDataDirectory(path);
    stack.defer(() => directory.close());
    expect((await readdir(path)).toSorted()).toEqual([
      "format",
      "lock",
      "lock.pid",
      "metadata.db",
      "metadata.db-wal",
      "metadata.db.rebuilding",
      "quarantine",
      "sidecars",
    ]);
    expect(await readFile(directory.metadataPath, "utf8")).toBe("index.db");
    expect(await readFile(join(path, "metadata.db-wal"), "utf8")).toBe("index.db-wal");
    expect(await readFile(join(path, "sidecars/pins.json"), "utf8")).toBe("[]");
    expect(await readFile(join(path, "format"), "utf8")).toBe("2\n");
  });

  test("keeps the permissions that it has", async () => {
    await chmod(parent, 0o750);
    await (await openDataDirectory(parent)).close();
    expect((await stat(parent)).mode & 0o777).toBe(0o750);
  });

  test("is refused where a file is in its place, or on the way to it", async () => {
    const file = join(parent, "file");
    await writeFile(file, "");
    for (const wanted of [file, join(file, "below")]) {
      const error = await directoryError(openDataDirectory(wanted));
      expect(error.kind).toBe("not-a-directory");
      expect(error.path).toBe(wanted);
      expect(error.message).toBe(
        `the data directory ${wanted} cannot be used: it, or something on the way to it, is no directory. Set storage.dir to a directory`,
      );
    }
  });

  test("is refused where nothing can be written", async () => {
    // Of a kind that root cannot write to either.
    const error = await directoryError(openDataDirectory("/proc/entrepot"));
    expect(error.kind).toBe("unwritable");
    expect(error.message).toContain("/proc/entrepot cannot be created: ");
    expect((await directoryError(openDataDirectory("/proc"))).message).toContain(
      "/proc cannot be written to: ",
    );
  });

  test("is had by one opener of a process", async () => {
    const directory = await openDataDirectory(path);
    const error = await directoryError(openDataDirectory(path));
    expect(error.kind).toBe("locked");
    await directory.close();
    await (await openDataDirectory(path)).close();
  });

  test("is refused by name to a second process, until the first has ended well", async () => {
    const child = await holder();
    const error = await directoryError(openDataDirectory(path));
    expect(error.kind).toBe("locked");
    expect(error.message).toBe(
      `the data directory ${path} is in use by process ${child.pid}: stop that one first, or give this one a storage.dir of its own`,
    );
    // A refusal must not have freed the holder's lock on its way.
    expect((await directoryError(openDataDirectory(path))).kind).toBe("locked");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    await (await openDataDirectory(path)).close();
  });

  test("is free after kill -9 of the one who had it", async () => {
    const child = await holder();
    child.kill("SIGKILL");
    await child.exited;
    const directory = await openDataDirectory(path);
    expect(await readFile(join(path, "lock.pid"), "utf8")).toBe(`${process.pid}\n`);
    await directory.close();
  });
});
