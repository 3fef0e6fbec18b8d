import path from "node:path";
import { UnreadableError } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { FileContext } from "../upstreams/certificates.ts";

const MAX_BYTES = 1024 * 1024;
/** More would hide the first ones. */
const MAX_PROBLEMS = 5;

/**
 * Reads a file of one entry per line. Empty lines and comments (#) are skipped, as `htpasswd` does. Problems
 * are reported with the file and the line, and never show it.
 *
 * @param parse returns what is wrong with a line, if it is not valid
 */
export function readLines<Entry extends object>(
  at: Path,
  file: string,
  parse: (line: string) => Entry | string,
  { folder, readFile, report }: FileContext,
): readonly Entry[] {
  const name = path.resolve(folder, file);
  let text: string;
  try {
    text = readFile(name, MAX_BYTES);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    report(at, `${name} ${error.message}`, "value");
    return [];
  }
  const entries: Entry[] = [];
  let problems = 0;
  for (const [index, written] of text.split("\n").entries()) {
    const line = written.replace(/\r$/, "");
    if (line.trim() === "" || line.startsWith("#")) continue;
    const entry = parse(line);
    if (typeof entry !== "string") entries.push(entry);
    else if ((problems += 1) <= MAX_PROBLEMS)
      report(at, `${name} line ${index + 1}: ${entry}`, "value");
  }
  if (entries.length === 0 && problems === 0) report(at, `${name} has no entry`, "value");
  return entries;
}
