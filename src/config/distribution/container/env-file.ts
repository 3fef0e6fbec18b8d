import path from "node:path";
import type { ImportedConfig, Origin } from "../../foreign/imported-config.ts";
import { type ReadText, UnreadableError } from "../../parsing/read-text.ts";
import type { Variable } from "./container.ts";
import type { HostFolders } from "./notation.ts";
import { asWritten, unresolvedIn } from "./unresolved.ts";

const MAX_BYTES = 1024 * 1024;

/**
 * Reads the variables of `docker run --env-file`: one `NAME=VALUE` in each line, without quotes, and
 * with `#` at the start of a line for comments. Problems are reported.
 */
export function readEnvFile(
  name: string,
  from: Origin,
  { working }: HostFolders,
  readFile: ReadText,
  imported: ImportedConfig,
): Variable[] {
  const text = readNamedFile(name, from, working, readFile, imported);
  if (text === undefined) return [];
  return text.text.split(/\r?\n/).flatMap((raw, index): Variable[] => {
    const line = raw.trimStart();
    if (line === "" || line.startsWith("#")) return [];
    const [variable = "", ...value] = line.split("=");
    const at = { file: text.file, line: index + 1, column: 1, what: variable };
    return [{ name: variable, value: line.includes("=") ? value.join("=") : undefined, from: at }];
  });
}

/** A path for messages: relative to the current directory for files in it. */
export function shownPath(absolute: string): string {
  const relative = path.relative(process.cwd(), absolute);
  return relative.startsWith("..") ? absolute : relative;
}

/** A file that a description names, and its path for messages; undefined after reporting a problem. */
export function readNamedFile(
  name: string,
  from: Origin,
  working: string,
  readFile: ReadText,
  imported: ImportedConfig,
): { readonly file: string; readonly text: string } | undefined {
  const variable = unresolvedIn(name);
  if (variable !== undefined) {
    imported.reject(from, `the path ${asWritten(name)} is not known: write ${variable} out`);
    return undefined;
  }
  const absolute = path.resolve(working, name);
  const file = shownPath(absolute);
  try {
    const text = readFile(absolute, MAX_BYTES);
    imported.alsoRead(file);
    return { file, text };
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    imported.reject(from, `${file} ${error.message}`);
    return undefined;
  }
}
