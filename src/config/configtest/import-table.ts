/** Imports texts instead of files, for the tests of the formats. */
import path from "node:path";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import { importFiles } from "../import-files.ts";
import { filesOf } from "./load-text.ts";

/**
 * Imports files of a table. Those whose names are not given to be imported can be referred to.
 *
 * @param given the files to import; all of the table if it is not given
 */
export function importTable(
  files: Readonly<Record<string, string>>,
  given: readonly string[] = Object.keys(files),
  secrets?: string,
): ImportedConfig {
  const readFile = filesOf({ ...files });
  const listFolder = (folder: string): string[] =>
    Object.keys(files)
      .filter((name) => path.dirname(name) === folder)
      .map((name) => path.basename(name))
      .sort();
  return importFiles({
    files: given,
    readFile,
    listFolder,
    secrets: { folder: secrets, readFile, list: listFolder },
    names: new Map(),
  });
}
