import { Database, SQLiteError } from "bun:sqlite";
import { readFileSync, rmSync, writeFileSync } from "node:fs";

/** Something else holds the lock. */
export class LockedError extends Error {
  override readonly name = "LockedError";

  constructor(
    path: string,
    /** The holder's process id as it wrote it down, where it could be read. */
    readonly holder: number | undefined,
    options: ErrorOptions,
  ) {
    super(
      `${path} is held by ${holder === undefined ? "another process" : `process ${holder}`}`,
      options,
    );
  }
}

export interface Lock {
  release(): void;
}

/**
 * Takes a lock that one process can have, for as long as it lives: the kernel frees it with the
 * process, however that ends. Bun has no flock(2), so it is the exclusive lock of an empty SQLite
 * file.
 *
 * @throws LockedError
 */
export function acquireLock(path: string): Lock {
  const pidPath = `${path}.pid`;
  const database = new Database(path, { create: true, readwrite: true });
  try {
    database.run("PRAGMA busy_timeout = 0");
    database.run("PRAGMA locking_mode = EXCLUSIVE");
    // Nothing is ever written to the file, so it needs no journal beside it (OFF is not granted).
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("BEGIN EXCLUSIVE");
    // In a file of its own: to close the lock file after reading it would free the lock (fcntl(2)).
    writeFileSync(pidPath, `${process.pid}\n`, { mode: 0o600 });
  } catch (cause) {
    database.close();
    if (cause instanceof SQLiteError && cause.code?.startsWith("SQLITE_BUSY")) {
      throw new LockedError(path, readHolderPid(pidPath), { cause });
    }
    throw cause;
  }
  let held = true;
  return {
    release: () => {
      if (!held) return;
      held = false;
      // Before the lock is free: afterwards it may be the next holder's. The lock's own file stays,
      // since a process may wait at it that is about to lock it.
      rmSync(pidPath, { force: true });
      database.close();
    },
  };
}

function readHolderPid(pidPath: string): number | undefined {
  try {
    const pid = Number(readFileSync(pidPath, "utf8"));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}
