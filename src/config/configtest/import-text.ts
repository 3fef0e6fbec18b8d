import { ConfigError } from "../parsing/problems.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import { importFiles } from "../import-files.ts";

/** Files by their path; the folder `/in` holds what is imported. */
export type GivenFiles = Readonly<Record<string, string>>;

/** Imports files of the folder `/in` from memory. Without names, the first one is imported. */
export function importGiven(
  files: GivenFiles,
  names: readonly string[] = Object.keys(files).slice(0, 1),
): ImportedConfig {
  const readFile = (file: string): string => {
    const text = files[file.replace(/^\/in\//, "")];
    if (text === undefined) throw new UnreadableError("does not exist");
    return text;
  };
  return importFiles({
    files: names.map((name) => `/in/${name}`),
    readFile,
    secrets: { folder: undefined, readFile },
    names: new Map(),
  });
}

/**
 * The upstreams of an import: with `port` where the registry was open to all machines, and without
 * an address where it was not. import-addresses.test.ts checks the addresses.
 */
export function upstreamsIn({ value }: ImportedConfig): Record<string, unknown> {
  const upstreams: Record<string, { port?: number; listen?: string }> = Object(value["upstreams"]);
  return Object.fromEntries(
    Object.entries(upstreams).map(([name, { listen, ...entry }]) => {
      const port = /^0\.0\.0\.0:(\d+)$/.exec(listen ?? "")?.[1];
      return [name, port === undefined ? entry : { ...entry, port: Number(port) }];
    }),
  );
}

/** The problems of an import, one in a line; empty if it succeeds. */
export function importProblems(files: GivenFiles, names?: readonly string[]): string {
  try {
    importGiven(files, names);
    return "";
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll("/in/", "");
    throw error;
  }
}
