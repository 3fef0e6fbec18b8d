import type { FileView } from "../../files/node-files.ts";
import type { TomlLeaf } from "../../files/toml-document.ts";
import { startsWith } from "../../files/toml-document.ts";
import type { ConfigurationFile, Defect } from "./configuration-files.ts";
import { readConfigurationFiles } from "./configuration-files.ts";
import type { Traits } from "../traits.ts";

export const OLD_CRI_TABLE = "io.containerd.grpc.v1.cri";
export const IMAGES_TABLE = "io.containerd.cri.v1.images";
export const VERSION_1_TABLE = "cri";
const CRI_TABLES = [VERSION_1_TABLE, OLD_CRI_TABLE, IMAGES_TABLE] as const;

/** A registry setting. */
export interface Setting {
  /** Its keys below `registry`. */
  readonly path: readonly string[];
  readonly value: unknown;
  readonly file: string;
  readonly line: number;
  /** The plugin's table that contains it. */
  readonly table: string;
}

/** containerd's configuration, as one version of containerd reads it from its files. */
export interface Configuration {
  /** Path of the main file. */
  readonly main: string;
  readonly exists: boolean;
  readonly files: readonly ConfigurationFile[];
  /** The `version =` that applies to all files together. */
  readonly version: number;
  /** The plugin's table whose `registry` is in force, and to which settings have to be written. */
  readonly table: string;
  /** The file to which a new registry setting has to be written. */
  readonly writeTo: string;
  readonly registry: readonly Setting[];
  /**
   * Whether 2.1 and newer use the local pull of older versions instead of the transfer service. Besides
   * `use_local_image_pull`, settings that seem unrelated cause this, such as `configs`.
   */
  readonly pullsLocally: boolean;
  readonly defects: readonly Defect[];
}

/** Reads the main file and everything it imports. A file that is not valid TOML becomes a defect. */
export function readConfiguration(view: FileView, main: string, traits: Traits): Configuration {
  const defects: Defect[] = [];
  const files = readConfigurationFiles(view, main, traits, defects);
  const version = files.reduce((last, file) => file.version || last, 0) || 1;
  const table = tableOf(version, traits, files);
  const leaves = merge(files, traits, defects);
  checkVersions(files, traits, defects);
  checkDisabled(files, defects);
  const registry: Setting[] = [];
  for (const leaf of leaves) {
    const [, name = ""] = leaf.path;
    if (!startsWith(leaf.path.slice(2), ["registry"]) || !isCriTable(name)) continue;
    const position = { file: leaf.file, line: leaf.line, table: name };
    if (name === table && version <= traits.newestConfigVersion) {
      registry.push({ path: leaf.path.slice(3), value: leaf.value, ...position });
    } else if (!defects.some((it) => it.kind === "table-ignored" && it.file === leaf.file)) {
      defects.push({ kind: "table-ignored", ...position, reads: table });
    }
  }
  if (version <= traits.newestConfigVersion) registry.push(...emptyTables(files, table, traits));
  return {
    main,
    exists: files.length > 0 || defects.some((defect) => defect.kind === "syntax"),
    files,
    version,
    table,
    writeTo: fileToWrite(files, main, table, traits),
    registry,
    pullsLocally: registry.some(isLocalPull) || leaves.some((leaf) => isLocalPullKey(leaf, table)),
    defects,
  };
}

/** An empty mirror or TLS table counts for containerd: beside config_path, CRI does not start with it. */
function emptyTables(
  files: readonly ConfigurationFile[],
  table: string,
  traits: Traits,
): Setting[] {
  const path = ["plugins", table];
  const inForce = traits.importsReplaceTables
    ? files.filter((file) => file.document.below(path).length > 0).slice(-1)
    : files;
  return (inForce.length > 0 ? inForce : files).flatMap((file) =>
    file.document.emptyTables
      .filter((empty) => startsWith(empty.path, [...path, "registry"]) && empty.path.length > 4)
      .map((empty) => ({
        path: empty.path.slice(3),
        value: {},
        file: file.path,
        line: empty.line,
        table,
      })),
  );
}

function isLocalPull({ path: [kind, host] }: Setting): boolean {
  return host !== undefined && ["mirrors", "configs", "auths"].includes(kind ?? "");
}

function isLocalPullKey({ path, value }: TomlLeaf, table: string): boolean {
  if (path[1] !== table || path.length !== 3) return false;
  if (path[2] === "use_local_image_pull") return value === true;
  return path[2] === "max_concurrent_downloads" && value !== 3;
}

function isCriTable(name: string): boolean {
  return CRI_TABLES.some((table) => table === name);
}

/** Tested on 1.6.20, 1.7.24 and 2.1.9, with every combination of version and table. */
function tableOf(version: number, traits: Traits, files: readonly ConfigurationFile[]): string {
  if (!traits.imagesTable) return version === 1 ? VERSION_1_TABLE : OLD_CRI_TABLE;
  // 2.x renames version 1's table `cri` without migrating its registry, and reads the new name.
  if (version !== 2) return IMAGES_TABLE;
  // With version 2, both names are read, and the old one wins if both exist.
  const has = (table: string): boolean =>
    files.some((file) => file.document.below(["plugins", table, "registry"]).length > 0);
  return has(IMAGES_TABLE) && !has(OLD_CRI_TABLE) ? IMAGES_TABLE : OLD_CRI_TABLE;
}

type FileLeaf = TomlLeaf & { readonly file: string };

/** The leaves below `plugins` that are in force after the merge. */
function merge(files: readonly ConfigurationFile[], traits: Traits, defects: Defect[]): FileLeaf[] {
  const merged = new Map<string, FileLeaf>();
  for (const file of files) {
    const own = file.document.below(["plugins"]);
    if (traits.importsReplaceTables) {
      const tables = new Set(own.map((leaf) => leaf.path[1] ?? ""));
      for (const table of tables) replaceTable(merged, table, file, own, defects);
    }
    for (const leaf of own) merged.set(leaf.path.join("\0"), { ...leaf, file: file.path });
  }
  return [...merged.values()];
}

function replaceTable(
  merged: Map<string, FileLeaf>,
  table: string,
  file: ConfigurationFile,
  own: readonly TomlLeaf[],
  defects: Defect[],
): void {
  const keys = new Set(own.map((leaf) => leaf.path.join("\0")));
  const lost: FileLeaf[] = [];
  for (const [key, leaf] of merged) {
    if (leaf.path[1] !== table) continue;
    merged.delete(key);
    if (!keys.has(key)) lost.push(leaf);
  }
  const [first] = lost;
  if (first === undefined) return;
  const line = own.find((leaf) => leaf.path[1] === table)?.line ?? 1;
  const names = lost.map((leaf) => leaf.path.slice(2).join("."));
  defects.push({
    kind: "table-replaced",
    file: file.path,
    line,
    table,
    by: first.file,
    lost: names,
  });
}

const CRI_PLUGINS = new Set(["cri", OLD_CRI_TABLE, IMAGES_TABLE, "io.containerd.cri.v1.runtime"]);

/** Every version of containerd concatenates the lists of all files. */
function checkDisabled(files: readonly ConfigurationFile[], defects: Defect[]): void {
  for (const file of files) {
    const leaf = file.document.leaf(["disabled_plugins"]);
    const names: unknown[] = Array.isArray(leaf?.value) ? leaf.value : [];
    const plugin = names.find((name) => typeof name === "string" && CRI_PLUGINS.has(name));
    if (leaf === undefined || typeof plugin !== "string") continue;
    defects.push({ kind: "cri-disabled", file: file.path, line: leaf.line, plugin });
  }
}

function checkVersions(
  files: readonly ConfigurationFile[],
  traits: Traits,
  defects: Defect[],
): void {
  const root = files[0]?.version || 1;
  for (const file of files) {
    const line = file.document.leaf(["version"])?.line ?? 1;
    const at = { file: file.path, line, version: file.version };
    if (file.version > traits.newestConfigVersion) defects.push({ kind: "version-too-new", ...at });
    else if (file.version > root && file.version >= 3) {
      defects.push({ kind: "import-too-new", ...at, root });
    }
  }
}

/**
 * On 1.x, the last file with CRI's table replaces that of all others, so a new drop-in would replace it
 * too. On 2.x, the last file that sets a registry key wins over the main file.
 */
function fileToWrite(
  files: readonly ConfigurationFile[],
  main: string,
  table: string,
  traits: Traits,
): string {
  const path = traits.importsReplaceTables ? ["plugins", table] : ["plugins", table, "registry"];
  const last = files.findLast((file) => file.document.below(path).length > 0);
  return last?.path ?? main;
}
