import type { FileView } from "../../files/node-files.ts";
import type { TomlLeaf } from "../../files/toml-document.ts";
import { startsWith } from "../../files/toml-document.ts";
import type { ConfigurationFile, Defect } from "./configuration-files.ts";
import { readFiles } from "./configuration-files.ts";
import type { Traits } from "../traits.ts";

export const OLD_CRI_TABLE = "io.containerd.grpc.v1.cri";
export const IMAGES_TABLE = "io.containerd.cri.v1.images";
export const VERSION_1_TABLE = "cri";
const CRI_TABLES = [VERSION_1_TABLE, OLD_CRI_TABLE, IMAGES_TABLE] as const;

/** A registry setting: `path` begins below `registry`. */
export interface Setting {
  readonly path: readonly string[];
  readonly value: unknown;
  readonly file: string;
  readonly line: number;
  /** The plugin table that it stands in. */
  readonly table: string;
}

/** containerd's configuration as this version of it makes it out of its files. */
export interface Configuration {
  readonly main: string;
  readonly exists: boolean;
  readonly files: readonly ConfigurationFile[];
  /** What the daemon takes as `version =` for all of it. */
  readonly version: number;
  /** The plugin table whose `registry` is in force, and in which a setting has to be written. */
  readonly table: string;
  /** The file that a new registry setting has to be written to. */
  readonly writeTo: string;
  readonly registry: readonly Setting[];
  /**
   * Whether 2.1 and newer pull as older ones did and not through the transfer service, because of a
   * setting that seems to have nothing to do with it.
   */
  readonly pullsLocally: boolean;
  readonly defects: readonly Defect[];
}

/** Reads the main file and all that it imports. A file that is no TOML becomes a defect. */
export function readConfiguration(view: FileView, main: string, traits: Traits): Configuration {
  const defects: Defect[] = [];
  const files = readFiles(view, main, traits, defects);
  const version = files.reduce((last, file) => file.version || last, 0) || 1;
  const table = tableOf(version, traits, files);
  const leaves = merge(files, traits, defects);
  checkVersions(files, traits, defects);
  checkDisabled(files, defects);
  const registry: Setting[] = [];
  for (const leaf of leaves) {
    const [, name = ""] = leaf.path;
    if (!startsWith(leaf.path.slice(2), ["registry"]) || !isCriTable(name)) continue;
    const place = { file: leaf.file, line: leaf.line, table: name };
    if (name === table && version <= traits.newestConfigVersion) {
      registry.push({ path: leaf.path.slice(3), value: leaf.value, ...place });
    } else if (!defects.some((at) => at.kind === "table-ignored" && at.file === leaf.file)) {
      defects.push({ kind: "table-ignored", ...place, reads: table });
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

/** A mirror or TLS without a key is one for containerd all the same: CRI dies of it beside config_path. */
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

/** Tried on 1.6.20, 1.7.24 and 2.1.9, each with each version and table. */
function tableOf(version: number, traits: Traits, files: readonly ConfigurationFile[]): string {
  if (!traits.imagesTable) return version === 1 ? VERSION_1_TABLE : OLD_CRI_TABLE;
  // 2.x renames version 1's `cri` and then forgets to move its registry on; the new name is read.
  if (version !== 2) return IMAGES_TABLE;
  // Under version 2 both names are read, and the old one wins where both are there.
  const has = (table: string): boolean =>
    files.some((file) => file.document.below(["plugins", table, "registry"]).length > 0);
  return has(IMAGES_TABLE) && !has(OLD_CRI_TABLE) ? IMAGES_TABLE : OLD_CRI_TABLE;
}

type PlacedLeaf = TomlLeaf & { readonly file: string };

/** Every leaf below `plugins` that survives the merge. */
function merge(
  files: readonly ConfigurationFile[],
  traits: Traits,
  defects: Defect[],
): PlacedLeaf[] {
  const merged = new Map<string, PlacedLeaf>();
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
  merged: Map<string, PlacedLeaf>,
  table: string,
  file: ConfigurationFile,
  own: readonly TomlLeaf[],
  defects: Defect[],
): void {
  const keys = new Set(own.map((leaf) => leaf.path.join("\0")));
  const lost: PlacedLeaf[] = [];
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

/** The lists of all files add up, in every version. */
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
 * On 1.x the last file that has CRI's table is all of it; a new file of ours would replace it. On
 * 2.x the last file that sets a registry key wins, whatever the main file says.
 */
function fileToWrite(
  files: readonly ConfigurationFile[],
  main: string,
  table: string,
  traits: Traits,
): string {
  const path = traits.importsReplaceTables ? ["plugins", table] : ["plugins", table, "registry"];
  const holds = files.findLast((file) => file.document.below(path).length > 0);
  return holds?.path ?? main;
}
