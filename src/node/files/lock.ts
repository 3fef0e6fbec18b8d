import { Database } from "bun:sqlite";
import { join } from "node:path";
import { codeOf, filesFault } from "./node-files.ts";

/** Another run of this tool is changing the same node. */
export class LockedError extends Error {
  override readonly name = "LockedError";
}

/**
 * One run at a time. SQLite's lock on a file is one of the kernel's: it goes with the process,
 * however that ends, and holds across containers, where a process id in a file would mean nothing.
 *
 * @param directory on this machine; it has to be there
 * @throws LockedError, FilesFault
 */
export function takeLock(directory: string, shown: string): Disposable {
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
      const message = `another entrepot node is at work here (${shown}/lock): wait for it to end`;
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
  const held = database;
  return {
    [Symbol.dispose]() {
      held.close();
    },
  };
}
