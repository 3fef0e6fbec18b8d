import { writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { removeFile, removeFileSync } from "./remove-file.ts";
import { systemCode } from "./storage-fault.ts";

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

/**
 * Renames a file, in place of what has the new name. Some FUSE and CIFS file systems refuse to replace a
 * file: there, it is removed first.
 */
export async function renameOver(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (cause) {
    if (systemCode(cause) !== "EEXIST") throw cause;
    await removeFile(to);
    await rename(from, to);
  }
}
