import { writeFileSync } from "node:fs";
import { ConfigError } from "../../config/parsing/problems.ts";

/**
 * Creates a file that only its owner can read, since it may contain passwords. An existing file is
 * never overwritten: the operator may have edited it.
 *
 * @throws ConfigError if the file exists or cannot be created
 */
export function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { mode: 0o600, flag: "wx" });
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    const message =
      code === "EEXIST"
        ? "already exists: choose another name, or move it away"
        : `cannot be written (${code})`;
    throw new ConfigError([{ message: `${file} ${message}` }], { cause });
  }
}
