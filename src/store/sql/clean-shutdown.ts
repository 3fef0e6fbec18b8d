import { existsSync, readFileSync, statSync } from "node:fs";
import { removeFileSync } from "../remove-file.ts";
import { replaceFile } from "../replace-file.ts";

/**
 * Whether a database was closed cleanly and was not changed since. A marker beside the database records
 * the state of its file (inode, size, times) when it was closed. While the file still has that state,
 * the integrity check, which reads all of it, can be skipped.
 */
export function wasShutDownCleanly(path: string): boolean {
  // A killed process leaves its write-ahead log, which is not yet part of the file.
  if (existsSync(`${path}-wal`)) return false;
  const state = fileState(path);
  return state !== undefined && state === readText(markerPath(path));
}

/**
 * Writes the clean-shutdown marker of a database that was closed. Without a marker, the next start only
 * takes longer, so errors are ignored.
 */
export function markCleanShutdown(path: string): void {
  try {
    const state = fileState(path);
    if (state === undefined || existsSync(`${path}-wal`)) return;
    replaceFile(markerPath(path), state);
  } catch {
    // A missing or incomplete marker says nothing.
  }
}

/** Removes the marker. It runs before the database is used, since the process may crash at any moment. */
export function clearCleanShutdown(path: string): void {
  removeFileSync(markerPath(path));
}

function markerPath(path: string): string {
  return `${path}.clean`;
}

/** The state of a file. Tools can set its modification time back, but not its change time (ctime). */
function fileState(path: string): string | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && `${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}\n`;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
