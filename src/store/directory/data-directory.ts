import { closeSync, constants, openSync } from "node:fs";
import { mkdir, readFile, rename, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { acquireLock, type Lock, LockedError, shareLock } from "./lock.ts";
import { changeOwner, findIrregular, nonRootOwner, type Owner } from "./ownership.ts";
import { replaceFile } from "../replace-file.ts";
import { Fault } from "../../oci/fault.ts";
import { describeSystemError, storageFault, systemCode } from "../storage-fault.ts";
import { isReadableNevertheless, isReadOnly, writeError } from "./write-error.ts";

/** The data directory cannot be used. The message says why and what to do about it. */
export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";

  constructor(
    readonly kind: "not-a-directory" | "unwritable" | "locked" | "newer" | "unsafe",
    readonly path: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A data directory that is locked, so that no other cache writes to it. */
export interface DataDirectory {
  /** Absolute. */
  readonly path: string;
  /** The path of the metadata database, which may not exist yet. */
  readonly metadataPath: string;
  /** Why nothing could be written to it when it was locked: what it holds can be read all the same. */
  readonly unwritten: Fault | undefined;
  /** Whether nobody else writes to it. On a read-only file system, it is only certain that nobody did. */
  readonly mayWrite: boolean;
  /**
   * To be called before anything is written.
   *
   * @throws Fault of kind `storage` unless `mayWrite`
   */
  readonly assertWritable: () => void;
  /**
   * Locks a directory of a read-only file system for writing, if it is writable by now. Returns whether `mayWrite`.
   *
   * @throws DataDirectoryError if another process has locked it
   */
  becomeWritable(): Promise<boolean>;
  /**
   * Locks what is at the path now: the lock file was removed, or the directory is another one.
   *
   * @throws DataDirectoryError
   */
  relock(): Promise<void>;
  /** Releases the lock, so that another process can open the directory. */
  close(): Promise<void>;
}

/**
 * Creates the data directory if it is missing, checks that it is writable, locks it, and upgrades
 * the layout of an older version. One in use is opened on a full disk too: that is when its images are
 * needed, and when eviction has to make room. On a read-only file system it is opened to be read, until it is
 * writable again.
 *
 * @throws DataDirectoryError
 */
export async function openDataDirectory(directory: string): Promise<DataDirectory> {
  const path = resolve(directory);
  let { lock, unwritten } = await prepare(path);
  const owner = nonRootOwner(path);
  const close = async (): Promise<void> => {
    try {
      if (owner && lock.isExclusive) changeOwner(path, owner);
    } finally {
      lock.release();
    }
  };
  const relock = async (): Promise<void> => {
    const fresh = await prepare(path);
    lock.abandon();
    ({ lock, unwritten } = fresh);
  };
  const lockForWriting = async (): Promise<boolean> => {
    const failed = await writeError(path);
    if (failed !== undefined) return false;
    // A process that has it shared cannot have it exclusively.
    lock.release();
    ({ lock, unwritten } = await prepare(path));
    return lock.isExclusive;
  };
  let becoming: Promise<boolean> | undefined;
  const becomeWritable = async (): Promise<boolean> => {
    if (lock.isExclusive) return true;
    becoming ??= lockForWriting().finally(() => {
      becoming = undefined;
    });
    return becoming;
  };
  return {
    path,
    metadataPath: join(path, "metadata.db"),
    get unwritten() {
      return unwritten;
    },
    get mayWrite() {
      return lock.isExclusive;
    },
    assertWritable: () => {
      if (lock.isExclusive) return;
      throw (
        unwritten ?? new Fault({ kind: "storage", reason: `${path} is not locked for writing` })
      );
    },
    becomeWritable,
    relock,
    close,
  };
}

async function prepare(path: string): Promise<{ lock: Lock; unwritten: Fault | undefined }> {
  rejectLinksOfAnotherUser(path);
  await rejectNewerFormat(path);
  await createDirectory(path);
  const failed = await writeError(path);
  const isInUse = (await readFormat(path)) === FORMAT;
  if (failed !== undefined && !(isInUse && isReadableNevertheless(failed))) {
    throw unwritableError(path, "written to", failed);
  }
  if (failed !== undefined && isReadOnly(failed)) {
    const lock = lockDirectory(path, shareLock);
    return { lock, unwritten: storageFault(`write to ${path}`, failed) };
  }
  const lock = lockDirectory(path, acquireLock);
  try {
    await upgradeLayout(path);
    if (!isInUse) replaceFile(join(path, FORMAT_FILE), `${FORMAT}\n`);
    const unwritten = failed === undefined ? undefined : storageFault(`write to ${path}`, failed);
    return { lock, unwritten };
  } catch (cause) {
    lock.release();
    throw unwritableError(path, "written to", cause);
  }
}

/** The version of the directory's layout. It is raised when an older program would misread the files. */
const FORMAT = 2;
const FORMAT_FILE = "format";

/**
 * File names of format 1. The write-ahead log is renamed before its database: a database that is
 * opened without its log loses its latest writes.
 */
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
 * Upgrades a directory of an older format to this one. The caller writes the new format afterwards,
 * so that the next start finishes an upgrade that a crash interrupted.
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

/**
 * Runs before anything is read or written: as root, a command would follow what another user put into
 * their directory to any file of the machine.
 */
function rejectLinksOfAnotherUser(path: string): void {
  let owner: Owner | undefined;
  let found: string | undefined;
  try {
    owner = nonRootOwner(path);
    found = owner && findIrregular(path);
  } catch (cause) {
    // What is not a directory is reported later, with what to do about it.
    if (systemCode(cause) === "ENOTDIR") return;
    throw unwritableError(path, "read", cause);
  }
  if (!owner || found === undefined) return;
  const message = `the data directory ${path} belongs to the user with uid ${owner.uid}, and ${found} is neither a file nor a directory: as root, it would be followed to files that are not that user's. Remove it, or run the command as that user: sudo -u '#${owner.uid}' entrepot …`;
  throw new DataDirectoryError("unsafe", path, message);
}

/** Runs before anything is written, so that the newer program finds the directory unchanged. */
async function rejectNewerFormat(path: string): Promise<void> {
  const format = await readFormat(path);
  if (!(format > FORMAT)) return;
  const message = `the data directory ${path} was written by a newer Entrepot: it has format ${format}, and this version supports format ${FORMAT}. Run the newer version, or set storage.dir to another directory`;
  throw new DataDirectoryError("newer", path, message);
}

async function createDirectory(path: string): Promise<void> {
  try {
    // A disk that creates nothing at the moment may have it.
    if ((await stat(path).catch(() => undefined))?.isDirectory()) return;
    // Parent directories that are created keep the default mode.
    await mkdir(dirname(path), { recursive: true });
    // It may hold blobs of private images. Some file systems refuse chmod(2), or know no modes at all.
    await mkdir(path, { mode: 0o700 }).catch((cause: unknown) => {
      if (systemCode(cause) !== "EEXIST") throw cause;
    });
    if ((await stat(path)).isDirectory()) return;
  } catch (cause) {
    const code = systemCode(cause);
    if (code !== "EEXIST" && code !== "ENOTDIR") throw unwritableError(path, "created", cause);
    throw notADirectoryError(path, cause);
  }
  throw notADirectoryError(path);
}

function lockDirectory(path: string, acquire: (path: string) => Lock): Lock {
  try {
    return acquire(join(path, "lock"));
  } catch (cause) {
    if (!(cause instanceof LockedError)) {
      throw unwritableError(path, "locked", openingError(join(path, "lock")) ?? cause);
    }
    const isKnown = cause.holder !== undefined;
    const holder = isKnown
      ? `by process ${cause.holder}`
      : "by another process, or its file system has no file locks, as NFS may have none";
    const message = `the data directory ${path} is in use ${holder}: stop that process first, or set storage.dir to another directory`;
    throw new DataDirectoryError("locked", path, message, { cause });
  }
}

/** SQLite says only that it cannot open a file. */
function openingError(file: string): unknown {
  try {
    closeSync(openSync(file, constants.O_RDWR));
    return undefined;
  } catch (cause) {
    return cause;
  }
}

function unwritableError(path: string, what: string, cause: unknown): DataDirectoryError {
  const message = `the data directory ${path} cannot be ${what}: ${describeSystemError(cause)}. Fix that, or set storage.dir or --data to a directory that this user (uid ${process.getuid?.() ?? "unknown"}) can write to`;
  return new DataDirectoryError("unwritable", path, message, { cause });
}

function notADirectoryError(path: string, cause?: unknown): DataDirectoryError {
  const message = `the data directory ${path} cannot be used: it, or a part of its path, is not a directory. Set storage.dir to a directory`;
  return new DataDirectoryError("not-a-directory", path, message, { cause });
}
