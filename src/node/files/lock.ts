import { Database } from "bun:sqlite";
import { join } from "node:path";
import { codeOf, filesFault } from "./node-files.ts";

/** Another run of this tool holds the lock of the same node. */
export class LockedError extends Error {
  override readonly name = "LockedError";
}

/**
 * Acquires the exclusive lock of a state directory. SQLite locks the file in the kernel (fcntl): the
 * lock ends with the process, even after a crash, and works across containers, unlike a PID file.
 *
 * @param directory existing directory on this machine
 * @param shown path of the same directory on the node, for messages
 * @throws LockedError if another process holds the lock, FilesFault
 */
export function acquireLock(directory: string, shown: string): Disposable {
  const path = join(directory, "lock");
  let database: Database | undefined;
  try {
    database = new Database(path, { create: true, strict: true });
    database.run("PRAGMA busy_timeout = 200");
    database.run("BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    const code = codeOf(error) ?? "";
    if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) {
      const message = `another entrepot node command is running (${shown}/lock): wait until it ends`;
      throw new LockedError(message, { cause: error });
    }
    if (code.startsWith("SQLITE_READONLY") || code.startsWith("SQLITE_CANTOPEN")) {
      throw filesFault(shown, Object.assign(new Error(String(error)), { code: "EROFS" }));
    }
    if (code.startsWith("SQLITE_FULL")) {
      throw filesFault(shown, Object.assign(new Error(String(error)), { code: "ENOSPC" }));
    }
    throw filesFault(shown, error);
  }
  const locked = database;
  return {
    [Symbol.dispose]() {
      locked.close();
    },
  };
}
