import { readdirSync } from "node:fs";
import { homedir } from "node:os";
import type { ReadText } from "./parsing/read-text.ts";
import type { SecretsOptions } from "./foreign/secrets.ts";
import { ConfigError, formatProblem, sortProblems } from "./parsing/problems.ts";
import { ForeignFile } from "./foreign/foreign-file.ts";
import { type Format, type ListFolder, reportProblems } from "./distribution/format.ts";
import { type ImportDecisions, importProxies } from "./distribution/import-proxies.ts";
import { ImportedConfig } from "./foreign/imported-config.ts";
import { FORMAT_TITLES, formatOf } from "./import-formats.ts";

const MAX_BYTES = 1024 * 1024;

export interface ImportOptions extends Partial<ImportDecisions> {
  readonly files: readonly string[];
  readonly readFile: ReadText;
  /** Replaces the file system in tests. */
  readonly listFolder?: ListFolder;
  readonly secrets: SecretsOptions;
}

/**
 * Imports configuration files of the supported formats into one configuration.
 *
 * @throws ConfigError with all problems of all files
 */
export function importFiles(options: ImportOptions): ImportedConfig {
  const { files, readFile, listFolder = readFolder, secrets } = options;
  const { names = new Map(), addresses = new Map(), withoutAuth = new Set() } = options;
  const imported = new ImportedConfig();
  const context = { readFile, listFolder, home: homedir(), secrets, imported };
  const byFormat = new Map<Format, ForeignFile[]>();
  for (const name of files) {
    const file = reportProblems(
      name,
      context,
      () => new ForeignFile(name, readFile(name, MAX_BYTES)),
    );
    const format = file && reportProblems(name, context, () => knownFormat(file));
    if (format) byFormat.set(format, [...(byFormat.get(format) ?? []), file]);
  }
  const registries = [...byFormat].flatMap(([format, found]) => {
    const [first] = found;
    return first
      ? (reportProblems(first.name, context, () => format.read(found, context)) ?? [])
      : [];
  });
  importProxies(registries, imported, { names, addresses, withoutAuth });
  if (imported.problems.length > 0) {
    addMissingRegistries(imported);
    throw new ConfigError(sortByFile(imported, files));
  }
  return imported;
}

/** Adds to the problems what else may have a registry: it is often their cause. */
function addMissingRegistries(imported: ImportedConfig): void {
  for (const { from, message, consequence } of imported.warnings) {
    if (consequence === "registry") imported.reject(from, message);
  }
}

/** @throws ConfigError if the file is of no supported format */
function knownFormat(file: ForeignFile): Format {
  const format = formatOf(file);
  if (format) return format;
  // What is not even one YAML document has its own problem.
  file.onlyDocument();
  const message = `has an unknown format. Supported formats: ${FORMAT_TITLES.join(", ")}`;
  throw new ConfigError([{ file: file.name, line: 1, column: 1, message }]);
}

const readFolder: ListFolder = (folder) => {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
};

/** Sorts problems by file, in the given order of files, and by position within each file. */
function sortByFile(
  { problems }: ImportedConfig,
  files: readonly string[],
): ImportedConfig["problems"] {
  // A task in a loop has the same problem in each round.
  const distinct = new Map(problems.map((problem) => [formatProblem(problem), problem]));
  const rank = (file: string | undefined): number =>
    file === undefined ? -1 : files.indexOf(file);
  return sortProblems([...distinct.values()]).toSorted((a, b) => rank(a.file) - rank(b.file));
}
