import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";

/**
 * A seal beside a database says how its file was when it was closed in good order. As long as the
 * file is still that one, nobody has written to it since, and all of it need not be read again to
 * know that it is whole.
 */
export function wasShutDownCleanly(path: string): boolean {
  // What a process that was killed has left: its facts are yet to be put into the file.
  if (existsSync(`${path}-wal`)) return false;
  const now = fileState(path);
  return now !== undefined && now === read(markerPath(path));
}

/** Of a database that is closed. A seal that cannot be written costs the next start its time alone. */
export function markCleanShutdown(path: string): void {
  const now = fileState(path);
  if (now === undefined || existsSync(`${path}-wal`)) return;
  try {
    writeFileSync(markerPath(path), now, { mode: 0o600 });
  } catch {
    clearCleanShutdown(path);
  }
}

/** Before anything is done with the database: a process may end in any way. */
export function clearCleanShutdown(path: string): void {
  rmSync(markerPath(path), { force: true });
}

function markerPath(path: string): string {
  return `${path}.clean`;
}

/** Other tools may set the time of a change back, but not that of the file's own record (ctime). */
function fileState(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && `${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}\n`;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
