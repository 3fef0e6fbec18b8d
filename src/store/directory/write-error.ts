import { join } from "node:path";
import { removeFile } from "../remove-file.ts";
import { replaceFile } from "../replace-file.ts";
import { storageKind, systemCode } from "../storage-fault.ts";

/** What opening the metadata database takes at least: the index of its write-ahead log, in bytes. */
const PROBE_BYTES = 64 * 1024;

/**
 * Why nothing can be written to a directory; `undefined` if something can. Writes a file instead of
 * checking permissions only, so that a full disk or read-only mount is found.
 */
export async function writeError(directory: string): Promise<unknown> {
  const file = join(directory, `.probe-${process.pid}`);
  try {
    replaceFile(file, "entrepot\n".padEnd(PROBE_BYTES, "-"));
    return undefined;
  } catch (cause) {
    return cause;
  } finally {
    await removeFile(file).catch(() => undefined);
  }
}

/**
 * Whether a directory that cannot be written to is served from. A disk or a quota that is full has room
 * again at some time, and a disk that fails to write may still read. So does a file system that the kernel
 * has mounted read-only after an error.
 */
export function isReadableNevertheless(cause: unknown): boolean {
  const code = systemCode(cause);
  return storageKind(code) === "no-space" || code === "EIO" || isReadOnly(cause);
}

/** Whether the file system of a directory lets nobody write, so that no exclusive lock can be had on it. */
export function isReadOnly(cause: unknown): boolean {
  return systemCode(cause) === "EROFS";
}
