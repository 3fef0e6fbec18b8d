import { chmod, mkdir, readFile, rm, stat, rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { acquireLock, type Lock, LockedError } from "./lock.ts";
import { changeOwner, nonRootOwner } from "./ownership.ts";
import { describeSystemError, systemCode } from "../storage-fault.ts";

/** The directory cannot be used. The message says what to do about it. */
export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";

  constructor(
    readonly kind: "not-a-directory" | "unwritable" | "locked" | "newer",
    readonly path: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A directory that this process alone writes to. */
export interface DataDirectory {
  /** Absolute. */
  readonly path: string;
  /** Where the index belongs. */
  readonly metadataPath: string;
  /** Lets another process have it. */
  close(): Promise<void>;
}

/**
 * Creates the directory where it is missing, checks that it can be written to and locks it.
 *
 * @throws DataDirectoryError
 */
export async function openDataDirectory(directory: string): Promise<DataDirectory> {
  const path = resolve(directory);
  await rejectNewerFormat(path);
  await createDirectory(path);
  await probeWritable(path);
  const lock = lockDirectory(path);
  try {
    await upgradeLayout(path);
    await writeFile(join(path, FORMAT_FILE), `${FORMAT}\n`, { mode: 0o600 });
  } catch (cause) {
    lock.release();
    throw unwritableError(path, "written to", cause);
  }
  const owner = nonRootOwner(path);
  const close = async (): Promise<void> => {
    try {
      if (owner) changeOwner(path, owner);
    } finally {
      lock.release();
    }
  };
  return { path, metadataPath: join(path, "metadata.db"), close };
}

/** How files lie in the directory. It changes where an older program would misunderstand them. */
const FORMAT = 2;
const FORMAT_FILE = "format";

/** What format 1 called them. The log of the database goes first: without it, its last writes are lost. */
const RENAMED_IN_FORMAT_2: readonly (readonly [from: string, to: string])[] = [
  ["index.db-wal", "metadata.db-wal"],
  ["index.db-shm", "metadata.db-shm"],
  ["index.db", "metadata.db"],
  ["index.db.seal", "metadata.db.clean"],
  ["index.db.damaged", "metadata.db.damaged"],
  ["index.db.remaking", "metadata.db.rebuilding"],
  ["facts", "sidecars"],
  ["set-aside", "quarantine"],
];

/**
 * Brings a directory of an older format to this one. The format is written after it, so that an
 * upgrade which a crash cut short is finished by the next start.
 */
async function upgradeLayout(path: string): Promise<void> {
  if ((await readFormat(path)) !== 1) return;
  for (const [from, to] of RENAMED_IN_FORMAT_2) {
    await rename(join(path, from), join(path, to)).catch((cause: unknown) => {
      if (systemCode(cause) !== "ENOENT") throw cause;
    });
  }
}

async function readFormat(path: string): Promise<number> {
  return Number(await readFile(join(path, FORMAT_FILE), "utf8").catch(() => ""));
}

/** Before anything is written, so that the newer program finds it as it was. */
async function rejectNewerFormat(path: string): Promise<void> {
  const format = await readFormat(path);
  if (!(format > FORMAT)) return;
  const message = `the data directory ${path} was written by a newer Entrepot: it has format ${format}, and this one knows ${FORMAT}. Run that version, or use another storage.dir`;
  throw new DataDirectoryError("newer", path, message);
}

async function createDirectory(path: string): Promise<void> {
  try {
    const made = await mkdir(path, { recursive: true });
    // Private content may be in it. Those above it, where they were made too, are left for others.
    if (made !== undefined) await chmod(path, 0o700);
    if ((await stat(path)).isDirectory()) return;
  } catch (cause) {
    const code = systemCode(cause);
    if (code !== "EEXIST" && code !== "ENOTDIR") throw unwritableError(path, "created", cause);
    throw notADirectoryError(path, cause);
  }
  throw notADirectoryError(path);
}

/** Bytes and not only permissions: a full disk and a read-only mount are found here as well. */
async function probeWritable(path: string): Promise<void> {
  const file = join(path, `.probe-${process.pid}`);
  try {
    await writeFile(file, "entrepot\n", { mode: 0o600 });
  } catch (cause) {
    throw unwritableError(path, "written to", cause);
  } finally {
    await rm(file, { force: true }).catch(() => undefined);
  }
}

function lockDirectory(path: string): Lock {
  try {
    return acquireLock(join(path, "lock"));
  } catch (cause) {
    if (!(cause instanceof LockedError)) throw unwritableError(path, "locked", cause);
    const who = cause.holder === undefined ? "another process" : `process ${cause.holder}`;
    const message = `the data directory ${path} is in use by ${who}: stop that one first, or give this one a storage.dir of its own`;
    throw new DataDirectoryError("locked", path, message, { cause });
  }
}

function unwritableError(path: string, what: string, cause: unknown): DataDirectoryError {
  const message = `the data directory ${path} cannot be ${what}: ${describeSystemError(cause)}. Mend that, or set storage.dir to a directory that this user (uid ${process.getuid?.() ?? "unknown"}) can write to`;
  return new DataDirectoryError("unwritable", path, message, { cause });
}

function notADirectoryError(path: string, cause?: unknown): DataDirectoryError {
  const message = `the data directory ${path} cannot be used: it, or something on the way to it, is no directory. Set storage.dir to a directory`;
  return new DataDirectoryError("not-a-directory", path, message, { cause });
}
