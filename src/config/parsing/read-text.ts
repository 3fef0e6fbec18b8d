import { closeSync, openSync, readSync } from "node:fs";
import { formatSize } from "./units.ts";

/**
 * Reads a UTF-8 text file of at most `limit` bytes.
 *
 * @throws UnreadableError
 */
export type ReadText = (path: string, limit: number) => string;

/** The file cannot be read as text. The message follows the file's path: `<path> does not exist`. */
export class UnreadableError extends Error {
  override readonly name = "UnreadableError";
}

/** Reads from the file system. Supports pipes, whose size is not known in advance. */
export const readText: ReadText = (path, limit) => {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw new UnreadableError(reasonOf(cause), { cause });
  }
  try {
    const buffer = Buffer.allocUnsafe(limit + 1);
    let length = 0;
    while (length <= limit) {
      const count = readSync(file, buffer, length, limit + 1 - length, null);
      if (count === 0) break;
      length += count;
    }
    if (length > limit) throw new UnreadableError(`is larger than ${formatSize(limit)}`);
    return new TextDecoder("utf-8", { fatal: true }).decode(buffer.subarray(0, length));
  } catch (cause) {
    throw cause instanceof UnreadableError
      ? cause
      : new UnreadableError(reasonOf(cause), { cause });
  } finally {
    closeSync(file);
  }
};

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  ENOTDIR: "does not exist: a part of its path is a file",
  EISDIR: "is a directory, not a file",
  EACCES: "is not readable by this user",
  EPERM: "is not readable by this user",
  ELOOP: "is a symbolic link to itself",
  ENAMETOOLONG: "is too long",
  ERR_ENCODING_INVALID_ENCODED_DATA: "is not UTF-8 text",
  ERR_INVALID_ARG_VALUE: "is not a valid path",
};

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const known = REASONS[code];
  if (known !== undefined) return known;
  return `cannot be read: ${code || (error instanceof Error ? error.message : String(error))}`;
}
