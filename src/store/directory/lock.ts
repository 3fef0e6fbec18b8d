import { constants, Database, SQLiteError } from "bun:sqlite";
import { existsSync, readFileSync } from "node:fs";
import { removeFileSync } from "../remove-file.ts";
import { replaceFile } from "../replace-file.ts";
import { isReadableNevertheless } from "./write-error.ts";

/** Another process, or another part of this one, holds the lock. */
export class LockedError extends Error {
  override readonly name = "LockedError";

  constructor(
    path: string,
    /** The holder's process id, if it could be read from the file beside the lock. */
    readonly holder: number | undefined,
    options: ErrorOptions,
  ) {
    super(
      `${path} is locked by ${holder === undefined ? "another process" : `process ${holder}`}`,
      options,
    );
  }
}

export interface Lock {
  /** Whether no other process can hold it as well. */
  readonly isExclusive: boolean;
  /** Releases the lock; does nothing the second time. */
  release(): void;
  /** Gives up a lock file that has no name any more, or not this one. */
  abandon(): void;
}

/**
 * Acquires an advisory lock that one process at a time can hold. The kernel releases it when the
 * process ends, in whatever way. Bun has no flock(2), so the lock is the exclusive lock of an empty
 * SQLite file.
 *
 * @throws LockedError if it is held already
 * @throws SQLiteError if the file cannot be opened
 */
export function acquireLock(path: string): Lock {
  const pidPath = `${path}.pid`;
  const database = new Database(path, { create: true, readwrite: true });
  take(path, database, () => {
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    // Nothing is ever written to the file, so it needs no journal file (SQLite does not accept OFF).
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("BEGIN EXCLUSIVE");
    writeHolderPid(pidPath);
  });
  let isHeld = true;
  return {
    isExclusive: true,
    abandon: () => {
      isHeld = false;
      database.close();
    },
    release: () => {
      if (!isHeld) return;
      isHeld = false;
      // Before the lock is released: afterwards it may be the next holder's file. The lock file itself
      // stays, since another process may have opened it to lock it.
      try {
        removeFileSync(pidPath);
      } finally {
        database.close();
      }
    },
  };
}

/**
 * Acquires the lock on a read-only file system, where it can only be shared with others who do not write. Nobody can
 * acquire it exclusively meanwhile, also once the file system is writable again.
 *
 * @throws LockedError if another process holds it exclusively, which sees the file system as writable
 * @throws SQLiteError if the file cannot be opened
 */
export function shareLock(path: string): Lock {
  const nothing = (): void => {};
  // Nobody can hold it, nor create it now.
  if (!existsSync(path)) return { isExclusive: false, abandon: nothing, release: nothing };
  const database = new Database(path, constants.SQLITE_OPEN_READONLY);
  take(path, database, () => {
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    database.query("SELECT count(*) FROM sqlite_schema").get();
  });
  const release = (): void => database.close();
  return { isExclusive: false, abandon: release, release };
}

/** @throws LockedError if another process holds the lock */
function take(path: string, database: Database, lock: () => void): void {
  try {
    database.run("PRAGMA busy_timeout = 0");
    lock();
  } catch (cause) {
    database.close();
    if (cause instanceof SQLiteError && cause.code?.startsWith("SQLITE_BUSY")) {
      throw new LockedError(path, readHolderPid(`${path}.pid`), { cause });
    }
    throw cause;
  }
}

/** In a separate file: closing the lock file after reading it would release the lock (fcntl(2)). */
function writeHolderPid(pidPath: string): void {
  try {
    replaceFile(pidPath, `${process.pid}\n`);
  } catch (cause) {
    // It only helps to say who holds the lock: on a full disk, nobody is named.
    if (!isReadableNevertheless(cause)) throw cause;
    removeFileSync(pidPath);
  }
}

function readHolderPid(pidPath: string): number | undefined {
  try {
    const pid = Number(readFileSync(pidPath, "utf8"));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}
