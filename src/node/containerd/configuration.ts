import { posix } from "node:path";
import type { FileView } from "../node-files.ts";
import { readText } from "../node-files.ts";
import type { TomlLeaf } from "../toml-document.ts";
import { TomlDocument, TomlSyntaxError, startsWith } from "../toml-document.ts";
import type { Traits } from "./version.ts";

export const OLD_CRI_TABLE = "io.containerd.grpc.v1.cri";
export const IMAGES_TABLE = "io.containerd.cri.v1.images";
export const VERSION_1_TABLE = "cri";
const CRI_TABLES = [VERSION_1_TABLE, OLD_CRI_TABLE, IMAGES_TABLE] as const;

export interface ConfigurationFile {
  readonly path: string;
  readonly document: TomlDocument;
  /** What it says itself; 0 where it does not. */
  readonly version: number;
}

/** A registry setting: `path` begins below `registry`. */
export interface Setting {
  readonly path: readonly string[];
  readonly value: unknown;
  readonly file: string;
  readonly line: number;
  /** The plugin table that it stands in. */
  readonly table: string;
}

/** Something in the files that has no effect, or another than its author meant. */
export type Defect =
  | {
      readonly kind: "syntax";
      readonly file: string;
      readonly line: number;
      readonly column: number;
      readonly message: string;
    }
  | {
      readonly kind: "import-missing";
      readonly file: string;
      readonly line: number;
      readonly target: string;
    }
  | {
      readonly kind: "version-too-new";
      readonly file: string;
      readonly line: number;
      readonly version: number;
    }
  /** 1.x: an imported file replaced a plugin's whole table; `lost` are the settings that are gone. */
  | {
      readonly kind: "table-replaced";
      readonly file: string;
      readonly line: number;
      readonly table: string;
      readonly by: string;
      readonly lost: readonly string[];
    }
  /** 2.0 to 2.2: a newer import keeps root's settings from being migrated. 2.3: the daemon exits. */
  | {
      readonly kind: "import-too-new";
      readonly file: string;
      readonly line: number;
      readonly version: number;
      readonly root: number;
    }
  /** Registry settings in a table that this containerd does not read with this `version`. */
  | {
      readonly kind: "table-ignored";
      readonly file: string;
      readonly line: number;
      readonly table: string;
      readonly reads: string;
    };

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
  return {
    main,
    exists: files.length > 0 || defects.some((defect) => defect.kind === "syntax"),
    files,
    version,
    table,
    writeTo: fileToWrite(files, main, table, traits),
    registry,
    defects,
  };
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

function readFiles(
  view: FileView,
  main: string,
  traits: Traits,
  defects: Defect[],
): ConfigurationFile[] {
  const files: ConfigurationFile[] = [];
  const pending = [{ path: main, from: main, line: 1 }];
  const seen = new Set<string>();
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    if (seen.has(next.path)) continue;
    seen.add(next.path);
    const text = readText(view, next.path);
    if (text === undefined) {
      // containerd exits where an import without a glob is missing; a missing main file is nothing.
      if (next.path !== main) {
        defects.push({
          kind: "import-missing",
          file: next.from,
          line: next.line,
          target: next.path,
        });
      }
      continue;
    }
    const document = parse(text, next.path, defects);
    if (document === undefined) continue;
    const version = Number(document.leaf(["version"])?.value ?? 0);
    files.push({ path: next.path, document, version });
    const imports = document.leaf(["imports"]);
    const targets: unknown[] = Array.isArray(imports?.value) ? imports.value : [];
    for (const target of targets) {
      if (typeof target !== "string") continue;
      for (const path of resolveImport(view, next.path, target, traits)) {
        pending.push({ path, from: next.path, line: imports?.line ?? 1 });
      }
    }
  }
  return files;
}

function parse(text: string, file: string, defects: Defect[]): TomlDocument | undefined {
  try {
    return new TomlDocument(text);
  } catch (error) {
    if (!(error instanceof TomlSyntaxError)) throw error;
    const { line, column, message } = error;
    defects.push({ kind: "syntax", file, line, column, message });
    return undefined;
  }
}

function resolveImport(view: FileView, parent: string, target: string, traits: Traits): string[] {
  const isGlob = target.includes("*");
  if (!posix.isAbsolute(target) && isGlob && traits.relativeGlobsFromWorkingDirectory) {
    // systemd starts services in /, which is where 1.x then looks.
    return glob(view, posix.join("/", target));
  }
  const path = posix.isAbsolute(target)
    ? posix.normalize(target)
    : posix.join(posix.dirname(parent), target);
  return isGlob ? glob(view, path) : [path];
}

/** Go's filepath.Glob as far as configurations use it: `*` and `?` within one path component. */
function glob(view: FileView, pattern: string): string[] {
  let found = ["/"];
  for (const part of pattern.split("/").filter(Boolean)) {
    if (!/[*?]/.test(part)) {
      found = found.map((path) => posix.join(path, part));
      continue;
    }
    const matches = new RegExp(
      `^${part
        .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
        .replaceAll("*", ".*")
        .replaceAll("?", ".")}$`,
    );
    found = found.flatMap((path) =>
      (view.list(path) ?? [])
        .filter((name) => matches.test(name))
        .map((name) => posix.join(path, name)),
    );
  }
  return found.filter((path) => view.read(path) !== undefined);
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
