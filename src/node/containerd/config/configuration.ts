import type { FileView } from "../../files/node-files.ts";
import type { ConfigurationFile, Defect } from "./configuration-files.ts";
import { readConfigurationFiles } from "./configuration-files.ts";
import { IMAGES_TABLE, OLD_CRI_TABLE } from "./key-case.ts";
import type { FileLeaf, RegistryInForce, Setting } from "./registry-in-force.ts";
import { registryInForce } from "./registry-in-force.ts";
import type { Traits } from "../traits.ts";

/** containerd's configuration, as one version of containerd reads it from its files. */
export interface Configuration {
  /** Path of the main file. */
  readonly main: string;
  readonly exists: boolean;
  readonly files: readonly ConfigurationFile[];
  /** The `version =` that applies to all files together. */
  readonly version: number;
  /** The file to which a new registry setting has to be written. */
  readonly writeTo: string;
  /** The plugin's table of that file to which it has to be written. */
  readonly table: string;
  /** The plugin's tables of each file whose `registry` is in force. */
  readonly tables: ReadonlyMap<string, readonly string[]>;
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
  checkVersions(files, traits, defects);
  checkDisabled(files, defects);
  const inForce = registryInForce(files, traits, defects);
  const { version, tables, settings, leaves } = inForce;
  for (const file of files) {
    for (const key of file.keys.odd) defects.push({ kind: "key-case", file: file.path, ...key });
  }
  const writeTo = fileToWrite(files, main, inForce, traits);
  return {
    main,
    exists: files.length > 0 || defects.some((defect) => defect.kind === "syntax"),
    files,
    version,
    writeTo,
    table: tables.get(writeTo)?.[0] ?? inForce.table,
    tables,
    registry: settings,
    pullsLocally:
      settings.some(isLocalPull) ||
      leaves.some((leaf) => isLocalPullKey(leaf, tables.get(leaf.file) ?? [])),
    defects,
  };
}

function isLocalPull({ path: [kind, host] }: Setting): boolean {
  return host !== undefined && ["mirrors", "configs", "auths"].includes(kind ?? "");
}

function isLocalPullKey({ read, value }: FileLeaf, tables: readonly string[]): boolean {
  if (read.length !== 3 || !tables.includes(read[1] ?? "")) return false;
  if (read[2] === "use_local_image_pull") return value === true;
  return read[2] === "max_concurrent_downloads" && value !== 3;
}

const CRI_PLUGINS = new Set(["cri", OLD_CRI_TABLE, IMAGES_TABLE, "io.containerd.cri.v1.runtime"]);

/** Every version of containerd concatenates the lists of all files. */
function checkDisabled(files: readonly ConfigurationFile[], defects: Defect[]): void {
  for (const file of files) {
    const leaf = file.keys.value("disabled_plugins");
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
  // 2.3 compares with the first file that has a version, the others with the root file.
  const root = traits.exitsOnNewerImport
    ? files.find((file) => file.version > 0)?.version
    : files[0]?.version || 1;
  for (const file of files) {
    const line = file.keys.value("version")?.line ?? 1;
    const at = { file: file.path, line, version: file.version };
    if (file.version > traits.newestConfigVersion) defects.push({ kind: "version-too-new", ...at });
    else if (
      root !== undefined &&
      file.version > root &&
      (traits.exitsOnNewerImport || file.version >= 3)
    ) {
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
  { tables }: RegistryInForce,
  traits: Traits,
): string {
  const below = traits.importsReplaceTables ? [] : ["registry"];
  const last = files.findLast((file) =>
    (tables.get(file.path) ?? []).some(
      (table) => file.keys.below(["plugins", table, ...below]).length > 0,
    ),
  );
  return last?.path ?? main;
}
