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
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rejection } from "../storetest/writing.ts";
import { LockedError, shareLock } from "./lock.ts";
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
  throw new Error("it failed with another error", { cause: error });
}

/** Starts a process that opens the directory and keeps it open. Resolves once it holds the lock. */
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
  test("is created for its owner only, and its parents with the default mode", async () => {
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

  test("of format 1 is upgraded by renames, also after a crash in between", async () => {
    await mkdir(join(path, "facts/sha256"), { recursive: true });
    await writeFile(join(path, "facts/pins.json"), "[]");
    await mkdir(join(path, "set-aside"));
    for (const name of ["index.db", "index.db-wal", "index.db.remaking"]) {
      await writeFile(join(path, name), name);
    }
    await writeFile(join(path, "format"), "1\n");
    // As after a crash that followed the first rename.
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

  test("that exists keeps its permissions", async () => {
    await chmod(parent, 0o750);
    await (await openDataDirectory(parent)).close();
    expect((await stat(parent)).mode & 0o777).toBe(0o750);
  });

  test("is refused when it, or a part of its path, is a file", async () => {
    const file = join(parent, "file");
    await writeFile(file, "");
    for (const target of [file, join(file, "below")]) {
      const error = await directoryError(openDataDirectory(target));
      expect(error.kind).toBe("not-a-directory");
      expect(error.path).toBe(target);
      expect(error.message).toBe(
        `the data directory ${target} cannot be used: it, or a part of its path, is not a directory. Set storage.dir to a directory`,
      );
    }
  });

  test("is refused when it is not writable", async () => {
    // Root cannot write there either.
    const error = await directoryError(openDataDirectory("/proc/entrepot"));
    expect(error.kind).toBe("unwritable");
    expect(error.message).toContain("/proc/entrepot cannot be created: ");
    expect((await directoryError(openDataDirectory("/proc"))).message).toContain(
      "/proc cannot be written to: ",
    );
  });

  test("cannot be opened twice by one process", async () => {
    const directory = await openDataDirectory(path);
    const error = await directoryError(openDataDirectory(path));
    expect(error.kind).toBe("locked");
    await directory.close();
    await (await openDataDirectory(path)).close();
  });

  test("is refused to a second process, with the id of the first, until the first has closed it", async () => {
    const child = await holder();
    const error = await directoryError(openDataDirectory(path));
    expect(error.kind).toBe("locked");
    expect(error.message).toBe(
      `the data directory ${path} is in use by process ${child.pid}: stop that process first, or set storage.dir to another directory`,
    );
    // The refused attempt must not have released the holder's lock.
    expect((await directoryError(openDataDirectory(path))).kind).toBe("locked");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    await (await openDataDirectory(path)).close();
  });

  test("that is read by a process which cannot write is refused to others, and the other way round", async () => {
    await (await openDataDirectory(path)).close();
    const lock = join(path, "lock");
    const [reader, other] = [shareLock(lock), shareLock(lock)];
    expect([reader.isExclusive, other.isExclusive]).toEqual([false, false]);
    expect((await directoryError(openDataDirectory(path))).kind).toBe("locked");
    reader.release();
    expect((await directoryError(openDataDirectory(path))).kind).toBe("locked");
    other.release();
    const child = await holder();
    expect(() => shareLock(lock)).toThrow(LockedError);
    child.kill("SIGTERM");
    await child.exited;
    await (await openDataDirectory(path)).close();
  });

  test("can be opened after kill -9 of the process that held it", async () => {
    const child = await holder();
    child.kill("SIGKILL");
    await child.exited;
    const directory = await openDataDirectory(path);
    expect(await readFile(join(path, "lock.pid"), "utf8")).toBe(`${process.pid}\n`);
    await directory.close();
  });
});

test("links in place of small files are replaced, and their targets stay as they are", async () => {
  const folder = await mkdtemp(join(tmpdir(), "entrepot-links-"));
  try {
    const [data, target] = [join(folder, "data"), join(folder, "target")];
    await mkdir(data);
    await writeFile(target, "precious");
    for (const name of ["format", "lock.pid"]) await symlink(target, join(data, name));
    const directory = await openDataDirectory(data);
    expect(await readFile(join(data, "format"), "utf8")).toBe("2\n");
    expect(await readFile(target, "utf8")).toBe("precious");
    await directory.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});
