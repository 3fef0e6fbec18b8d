import path from "node:path";
import type { ForeignFile } from "../foreign/foreign-file.ts";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import type { SecretsOptions } from "../foreign/secrets.ts";
import { ConfigError } from "../parsing/problems.ts";
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";
import type { HostFolders } from "./container/notation.ts";
import type { RegistrySettings } from "./registry-settings.ts";

/** The names in a directory, sorted; none if it does not exist or cannot be read. */
export type ListFolder = (folder: string) => readonly string[];

/** What the files of a format may refer to, and where their problems and unsupported settings go. */
export interface ImportContext {
  readonly readFile: ReadText;
  readonly listFolder: ListFolder;
  /** The home directory of the user who imports. */
  readonly home: string;
  readonly secrets: SecretsOptions;
  readonly imported: ImportedConfig;
}

/** Where relative paths and `~` in a file lead. */
export function hostFolders(file: string, { home }: ImportContext): HostFolders {
  return { working: path.resolve(path.dirname(file)), home };
}

/** A kind of file that describes registries. */
export interface Format {
  /** As messages call such a file: "a Compose file". */
  readonly title: string;
  /** Whether a file is of this format. Formats that come earlier in the table have looked already. */
  readonly matches: (file: ForeignFile) => boolean;
  /** Reads all files of this format that are imported at once: they may refer to each other. */
  readonly read: (files: readonly ForeignFile[], context: ImportContext) => RegistrySettings[];
}

/** Reads files that do not refer to each other. One that is invalid does not hide problems of the next. */
export function eachFile(
  read: (file: ForeignFile, context: ImportContext) => readonly RegistrySettings[],
): Format["read"] {
  return (files, context) =>
    files.flatMap((file) => reportProblems(file.name, context, () => read(file, context)) ?? []);
}

/** Runs a step of reading a file. Its problem is reported, and undefined returned. */
export function reportProblems<Result>(
  file: string,
  { imported }: ImportContext,
  step: () => Result,
): Result | undefined {
  try {
    return step();
  } catch (error) {
    if (error instanceof ConfigError) imported.problems.push(...error.problems);
    else if (error instanceof UnreadableError) {
      imported.problems.push({ message: `${file} ${error.message}` });
    } else throw error;
    return undefined;
  }
}
