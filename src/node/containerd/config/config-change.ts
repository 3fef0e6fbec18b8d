import { isDeepStrictEqual } from "node:util";
import { TomlDocument, startsWith } from "../../files/toml-document.ts";
import { removeSubtree, setString } from "../../files/toml-edit.ts";
import type { Configuration } from "./configuration.ts";
import { OLD_CRI_TABLE } from "./key-case.ts";
import type { RegistryTables } from "./registry-tables.ts";
import type { Traits } from "../traits.ts";

/**
 * The configuration files that have to change so that containerd reads `directory` alone, with their new
 * text: `config_path` is set, `mirrors` and `configs.*.tls` are removed, and every other byte stays.
 * Files that lose entries come before the one that gets `config_path`: if containerd is started between
 * the two writes, CRI starts. In the opposite order it would not (containerd#7844).
 *
 * @throws TomlEditRefused if a table has a form that cannot be edited safely
 */
export function configChanges(
  configuration: Configuration,
  tables: RegistryTables,
  directory: string,
  traits: Traits,
): Map<string, string> {
  const removedKeys = [
    ...(tables.mirrors.length > 0 ? [["mirrors"]] : []),
    ...tables.tls.map((entry) => ["configs", entry.host, "tls"]),
  ];
  const registryOf = (table: string): string[] => ["plugins", table, "registry"];
  const registry = registryOf(configuration.table);
  const removedFrom = (file: string): string[][] =>
    (configuration.tables.get(file) ?? [configuration.table]).flatMap((table) =>
      removedKeys.map((keys) => registryOf(table).concat(keys)),
    );
  const texts = new Map<string, string>();
  for (const file of configuration.files) {
    // On 1.x, a table that another file's table replaces is not in force, and takes effect again only if
    // that file is removed.
    if (traits.importsReplaceTables && file.path !== configuration.writeTo) continue;
    const before = file.document.text;
    const after = removedFrom(file.path).reduce((text, path) => removeSubtree(text, path), before);
    if (after !== before) texts.set(file.path, after);
  }
  const isSet = tables.configPath?.value === directory;
  const target = configuration.writeTo;
  const before = configuration.files.find((file) => file.path === target)?.document.text;
  if (!isSet) {
    const text = texts.get(target) ?? before ?? NEW_FILE;
    const table = before === undefined ? NEW_TABLE : registry;
    texts.delete(target); // Inserted again below, as the last one to be written.
    texts.set(target, setString(text, table, "config_path", directory));
  }
  for (const [path, text] of texts) {
    const old = configuration.files.find((file) => file.path === path)?.document.text ?? NEW_FILE;
    assertOnlyChanged(old, text, [
      ...removedFrom(path),
      [...registry, "config_path"],
      [...NEW_TABLE, "config_path"],
    ]);
  }
  return texts;
}

const NEW_TABLE = ["plugins", OLD_CRI_TABLE, "registry"];

/** Version 2 with the old table name is the only form that works from 1.6 to 2.3. */
const NEW_FILE = "# written by entrepot node apply\nversion = 2\n";

/** A check before anything is written: all other settings must have the same values. */
function assertOnlyChanged(before: string, after: string, changed: readonly string[][]): void {
  const rest = (text: string): unknown =>
    new TomlDocument(text).leaves
      .filter((leaf) => !changed.some((path) => startsWith(leaf.path, path)))
      .map((leaf) => [leaf.path, leaf.value]);
  if (!isDeepStrictEqual(rest(before), rest(after))) {
    throw new Error(
      "an edit of the configuration would change other settings too: nothing was written",
    );
  }
}
