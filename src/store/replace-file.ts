import { writeFileSync } from "node:fs";
import { removeFileSync } from "./remove-file.ts";

/**
 * Writes a small file that only its owner can read, in place of what has its name. It never writes
 * through a link: as root, in the directory of another user, that would overwrite any file.
 *
 * @param shouldSync whether the file is on the disk when this returns
 */
export function replaceFile(path: string, text: string, shouldSync = false): void {
  removeFileSync(path);
  // Exclusive (O_EXCL): it fails if anything has the name again, a symbolic link included.
  writeFileSync(path, text, { mode: 0o600, flag: "wx", flush: shouldSync });
}
