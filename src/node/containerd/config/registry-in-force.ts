import { startsWith } from "../../files/toml-document.ts";
import type { Traits } from "../traits.ts";
import type { ConfigurationFile, Defect } from "./configuration-files.ts";
import type { ReadLeaf } from "./key-case.ts";
import { IMAGES_TABLE, OLD_CRI_TABLE, VERSION_1_TABLE } from "./key-case.ts";

/** A registry setting. */
export interface Setting {
  /** Its keys below `registry`, as containerd documents them. */
  readonly path: readonly string[];
  readonly value: unknown;
  readonly file: string;
  readonly line: number;
  /** The plugin's table that contains it. */
  readonly table: string;
}

/** A value of a plugin's table in one of the files. */
export interface FileLeaf extends ReadLeaf {
  readonly file: string;
}

/** Which registry settings of which tables a version reads from a set of files. */
export interface RegistryInForce {
  /** The `version =` that applies to all files together. */
  readonly version: number;
  /** The table for a new setting in a file that has none yet. */
  readonly table: string;
  /** The tables of each file whose `registry` is in force. */
  readonly tables: ReadonlyMap<string, readonly string[]>;
  readonly settings: readonly Setting[];
  /** The values of all plugins after the merge. */
  readonly leaves: readonly FileLeaf[];
}

/**
 * Merges the files as this version does. What is ignored, or lost in the merge, is added to `defects`.
 * Tested on 1.6.20, 1.7.24 and 2.1.9 with every combination of version and table, and read in the source
 * of 2.3 (cmd/containerd/server/config/config.go).
 */
export function registryInForce(
  files: readonly ConfigurationFile[],
  traits: Traits,
  defects: Defect[],
): RegistryInForce {
  const version = versionOf(files, traits);
  const table = tableOf(files, version, traits);
  const leaves = merge(files, traits, defects);
  const tables = new Map<string, readonly string[]>();
  for (const file of files) tables.set(file.path, tablesInForce(file, version, table, traits));
  const settings: Setting[] = [];
  for (const leaf of leaves) {
    const [, name = ""] = leaf.read;
    if (leaf.read[2] !== "registry" || !isCriTable(name)) continue;
    const position = { file: leaf.file, line: leaf.line, table: name };
    if (tables.get(leaf.file)?.includes(name)) {
      settings.push({ path: leaf.read.slice(3), value: leaf.value, ...position });
    } else if (!defects.some((it) => it.kind === "table-ignored" && it.file === leaf.file)) {
      const reads = tables.get(leaf.file)?.[0] ?? table;
      const file = files.find(({ path }) => path === leaf.file);
      const lacksVersion = file?.version === 0 && name === OLD_CRI_TABLE;
      defects.push({ kind: "table-ignored", ...position, reads, lacksVersion });
    }
  }
  settings.push(...emptyTables(files, tables, traits));
  return { version, table, tables, settings, leaves };
}

function isCriTable(name: string): boolean {
  return name === VERSION_1_TABLE || name === OLD_CRI_TABLE || name === IMAGES_TABLE;
}

/**
 * 2.x moves a file without a version, or of version 1, to its own version or to that of the files before
 * it. So only the others decide.
 */
function versionOf(files: readonly ConfigurationFile[], traits: Traits): number {
  const oldest = traits.imagesTable ? 2 : 1;
  const deciding = files.findLast((file) => file.version >= oldest);
  return deciding?.version ?? (files.findLast((file) => file.version > 0)?.version || 1);
}

function tableOf(files: readonly ConfigurationFile[], version: number, traits: Traits): string {
  if (!traits.imagesTable) return version === 1 ? VERSION_1_TABLE : OLD_CRI_TABLE;
  if (version !== 2) return IMAGES_TABLE;
  // With version 2, both names are read, and the old one wins if both exist.
  const hasOld = files.some((file) => oldTables(file).some((table) => hasRegistry(file, table)));
  const hasNew = files.some((file) => hasRegistry(file, IMAGES_TABLE));
  return hasNew && !hasOld ? IMAGES_TABLE : OLD_CRI_TABLE;
}

/** The names of the table before 2.0. Version 1 calls it `cri`. */
function oldTables(file: ConfigurationFile): string[] {
  return file.version <= 1 ? [OLD_CRI_TABLE, VERSION_1_TABLE] : [OLD_CRI_TABLE];
}

function hasRegistry(file: ConfigurationFile, table: string): boolean {
  return file.keys.below(["plugins", table, "registry"]).length > 0;
}

function tablesInForce(
  file: ConfigurationFile,
  version: number,
  table: string,
  traits: Traits,
): string[] {
  if (version > traits.newestConfigVersion) return [];
  if (!traits.imagesTable) return [table];
  if (!traits.migratesEachFile) return table === IMAGES_TABLE ? [table] : oldTables(file);
  if (file.version > 2) return [IMAGES_TABLE];
  const present = oldTables(file).filter((name) => hasRegistry(file, name));
  // Each file is moved to the newest version by itself: its old table replaces its new one.
  if (present.length > 0) return present;
  if (hasRegistry(file, IMAGES_TABLE)) return [IMAGES_TABLE];
  return [file.version === 2 ? OLD_CRI_TABLE : IMAGES_TABLE];
}

/** The leaves below `plugins` that are in force after the merge. */
function merge(files: readonly ConfigurationFile[], traits: Traits, defects: Defect[]): FileLeaf[] {
  const merged = new Map<string, FileLeaf>();
  for (const file of files) {
    const own = file.keys.below(["plugins"]);
    if (traits.importsReplaceTables) {
      const tables = new Set(own.map((leaf) => leaf.read[1] ?? ""));
      for (const table of tables) replaceTable(merged, table, file, own, defects);
    }
    for (const leaf of own) {
      const moved = traits.imagesTable && file.version <= 1 ? movedTable(leaf) : leaf.path[1];
      const written = traits.foldsKeys ? leaf.path.slice(2) : leaf.read.slice(2);
      merged.set([moved, ...written].join("\0"), { ...leaf, file: file.path });
    }
  }
  return traits.foldsKeys ? foldKeys([...merged.values()]) : [...merged.values()];
}

function movedTable({ path: [, table] }: ReadLeaf): string | undefined {
  return table === VERSION_1_TABLE ? OLD_CRI_TABLE : table;
}

/** Of keys that differ only in their case, 2.x reads the last one in the order of their bytes. */
function foldKeys(leaves: readonly FileLeaf[]): FileLeaf[] {
  const folded = new Map<string, FileLeaf>();
  for (const leaf of leaves) {
    const key = leaf.read.join("\0");
    const other = folded.get(key);
    if (other === undefined || other.path.join("\0") <= leaf.path.join("\0")) folded.set(key, leaf);
  }
  return [...folded.values()];
}

function replaceTable(
  merged: Map<string, FileLeaf>,
  table: string,
  file: ConfigurationFile,
  own: readonly ReadLeaf[],
  defects: Defect[],
): void {
  const keys = new Set(own.map((leaf) => leaf.read.join("\0")));
  const lost: FileLeaf[] = [];
  for (const [key, leaf] of merged) {
    if (leaf.read[1] !== table) continue;
    merged.delete(key);
    if (!keys.has(leaf.read.join("\0"))) lost.push(leaf);
  }
  const [first] = lost;
  if (first === undefined) return;
  const line = own.find((leaf) => leaf.read[1] === table)?.line ?? 1;
  const names = lost.map((leaf) => leaf.read.slice(2).join("."));
  defects.push({
    kind: "table-replaced",
    file: file.path,
    line,
    table,
    by: first.file,
    lost: names,
  });
}

/** An empty mirror or TLS table counts for containerd: beside config_path, CRI does not start with it. */
function emptyTables(
  files: readonly ConfigurationFile[],
  tables: ReadonlyMap<string, readonly string[]>,
  traits: Traits,
): Setting[] {
  const last = files.findLast((file) =>
    (tables.get(file.path) ?? []).some((table) => file.keys.below(["plugins", table]).length > 0),
  );
  const counting = traits.importsReplaceTables && last ? [last] : files;
  return counting.flatMap((file) =>
    (tables.get(file.path) ?? []).flatMap((table) =>
      file.keys.emptyTables
        .filter(({ read }) => startsWith(read, ["plugins", table, "registry"]) && read.length > 4)
        .map(({ read, line }) => ({
          path: read.slice(3),
          value: {},
          file: file.path,
          line,
          table,
        })),
    ),
  );
}
