import { Database, SQLiteError } from "bun:sqlite";
import { readFileSync } from "node:fs";
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
  try {
    database.run("PRAGMA busy_timeout = 0");
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    // Nothing is ever written to the file, so it needs no journal file (SQLite does not accept OFF).
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("BEGIN EXCLUSIVE");
    writeHolderPid(pidPath);
  } catch (cause) {
    database.close();
    if (cause instanceof SQLiteError && cause.code?.startsWith("SQLITE_BUSY")) {
      throw new LockedError(path, readHolderPid(pidPath), { cause });
    }
    throw cause;
  }
  let isHeld = true;
  return {
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
