import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import type { FileView } from "../../files/node-files.ts";
import { TomlDocument } from "../../files/toml-document.ts";
import { programOutput } from "../program-output.ts";
import type { Configuration } from "./configuration.ts";
import { importedDirectories, rebasedImports } from "./configuration-files.ts";
import { IMAGES_TABLE, OLD_CRI_TABLE, VERSION_1_TABLE } from "./key-case.ts";
import type { RegistryTables } from "./registry-tables.ts";

/** The registry settings in force, as containerd itself reads its files. */
export interface DumpedRegistry {
  readonly configPath: string;
  /** The endpoints of each entry of `mirrors`. */
  readonly mirrors: ReadonlyMap<string, readonly string[]>;
}

/**
 * The registry settings in the output of `containerd config dump`. The dump validates nothing: it also
 * shows settings with which CRI does not start, and from 2.2 on an empty config_path although the
 * running default differs. Undefined if there is no output.
 */
export function dumpRegistry(executable: string, main: string): DumpedRegistry | undefined {
  const text = programOutput(executable, ["--config", main, "config", "dump"]);
  return text === undefined ? undefined : parseDump(text);
}

/**
 * The same for the files of another root. They are copied to a directory of this machine, with their
 * imports pointing there, because the program would read this machine's own files instead.
 */
export function dumpFiles(
  executable: string,
  view: FileView,
  configuration: Configuration,
): DumpedRegistry | undefined {
  const directory = mkdtempSync(join(tmpdir(), "entrepot-dump-"));
  try {
    const parsed = new Map(configuration.files.map((file) => [file.path, file]));
    for (const path of filesBeside(view, configuration)) {
      const file = parsed.get(path);
      const content = file ? rebasedImports(file, directory) : view.read(path)?.bytes;
      if (content === undefined) continue;
      mkdirSync(posix.dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), content, { mode: 0o600 });
    }
    const main = join(directory, configuration.main);
    // 1.x resolves a relative glob in the working directory, which is / for a service.
    const text = programOutput(executable, ["--config", main, "config", "dump"], directory);
    return text === undefined ? undefined : parseDump(text);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The files that were read, and all others in the directories that imports name: these may match too. */
function filesBeside(view: FileView, configuration: Configuration): Set<string> {
  const directories = new Set(configuration.files.flatMap((file) => importedDirectories(file)));
  const beside = [...directories].flatMap((directory) =>
    (view.list(directory) ?? []).map((name) => posix.join(directory, name)),
  );
  return new Set([...configuration.files.map((file) => file.path), ...beside]);
}

type Table = Readonly<Record<string, unknown>>;

function tableAt(table: Table, key: string): Table | undefined {
  const value = table[key];
  const isTable = typeof value === "object" && value !== null && !Array.isArray(value);
  // An object that is not an array is a TOML table here: none of these keys holds a date.
  return isTable ? (value as Table) : undefined;
}

export function parseDump(text: string): DumpedRegistry | undefined {
  const plugins = tableAt(new TomlDocument(text).value, "plugins") ?? {};
  // Up to 2.0.4, 2.x dumps the old table without moving it to the new one.
  const [registry] = [OLD_CRI_TABLE, IMAGES_TABLE, VERSION_1_TABLE].flatMap((name) => {
    const found = tableAt(tableAt(plugins, name) ?? {}, "registry");
    return found === undefined ? [] : [found];
  });
  if (registry === undefined) return undefined;
  const { config_path: configPath } = registry;
  const mirrors = Object.entries(tableAt(registry, "mirrors") ?? {}).map(
    ([host, entry]): [string, string[]] => {
      const endpoints: unknown = Object(entry).endpoint;
      return [host, Array.isArray(endpoints) ? endpoints.map(String) : []];
    },
  );
  return {
    configPath: typeof configPath === "string" ? configPath : "",
    mirrors: new Map(mirrors),
  };
}

/** How containerd's own reading of its files differs from this program's: one text per setting. */
export function dumpDifferences(dumped: DumpedRegistry, tables: RegistryTables): string[] {
  const { value } = tables.configPath ?? { value: "" };
  const differences: string[] = [];
  if (dumped.configPath !== value) {
    differences.push(
      `config_path = ${JSON.stringify(dumped.configPath)}, but entrepot read ${JSON.stringify(value)}`,
    );
  }
  const read = new Map(tables.mirrors.map((mirror) => [mirror.registry, mirror.endpoints ?? []]));
  for (const host of new Set([...dumped.mirrors.keys(), ...read.keys()])) {
    const [theirs, ours] = [dumped.mirrors.get(host), read.get(host)];
    if (theirs !== undefined && ours !== undefined && theirs.join() === ours.join()) continue;
    const text = (endpoints: readonly string[] | undefined): string =>
      endpoints === undefined ? "no entry" : `[${endpoints.join(", ")}]`;
    differences.push(
      `${text(theirs)} for mirrors.${JSON.stringify(host)}, but entrepot read ${text(ours)}`,
    );
  }
  return differences;
}
