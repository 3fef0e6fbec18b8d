import { isDeepStrictEqual } from "node:util";
import { TomlDocument, startsWith } from "../../files/toml-document.ts";
import { removeSubtree, setString } from "../../files/toml-edit.ts";
import type { Configuration } from "./configuration.ts";
import { OLD_CRI_TABLE } from "./configuration.ts";
import type { RegistryTables } from "./registry-tables.ts";
import type { Traits } from "../traits.ts";

/**
 * The texts of the configuration files that have to change so that containerd goes by `directory`
 * alone: `config_path` set, `mirrors` and `configs.*.tls` gone, every other byte as it was. Files
 * that lose something come before the one that is given config_path: between the two containerd
 * could start, where the other way round CRI would not (containerd#7844).
 *
 * @throws TomlEditRefused where a table stands in a form that cannot be edited safely.
 */
export function configChanges(
  configuration: Configuration,
  pattern: RegistryTables,
  directory: string,
  traits: Traits,
): Map<string, string> {
  const registry = ["plugins", configuration.table, "registry"];
  const doomed = [
    ...(pattern.mirrors.length > 0 ? [[...registry, "mirrors"]] : []),
    ...pattern.tls.map((entry) => [...registry, "configs", entry.host, "tls"]),
  ];
  const texts = new Map<string, string>();
  for (const file of configuration.files) {
    // 1.x: what another file's table replaced is not in force and comes back only with that file.
    if (traits.importsReplaceTables && file.path !== configuration.writeTo) continue;
    const before = file.document.text;
    const after = doomed.reduce((text, path) => removeSubtree(text, path), before);
    if (after !== before) texts.set(file.path, after);
  }
  const isSet = pattern.configPath?.value === directory;
  const target = configuration.writeTo;
  const before = configuration.files.find((file) => file.path === target)?.document.text;
  if (!isSet) {
    const text = texts.get(target) ?? before ?? NEW_FILE;
    const table = before === undefined ? newTable : registry;
    texts.delete(target); // The last one to be written.
    texts.set(target, setString(text, table, "config_path", directory));
  }
  for (const [path, text] of texts) {
    const from = configuration.files.find((file) => file.path === path)?.document.text ?? NEW_FILE;
    assertNothingElse(from, text, [
      ...doomed,
      [...registry, "config_path"],
      [...newTable, "config_path"],
    ]);
  }
  return texts;
}

const newTable = ["plugins", OLD_CRI_TABLE, "registry"];

/** Version 2 with the old table name is the one form that works from 1.6 to 2.3. */
const NEW_FILE = "# written by entrepot node apply\nversion = 2\n";

/** A last look before anything is written: all other settings have to be the same. */
function assertNothingElse(before: string, after: string, changed: readonly string[][]): void {
  const rest = (text: string): unknown =>
    new TomlDocument(text).leaves
      .filter((leaf) => !changed.some((path) => startsWith(leaf.path, path)))
      .map((leaf) => [leaf.path, leaf.value]);
  if (!isDeepStrictEqual(rest(before), rest(after))) {
    throw new Error("an edit of the configuration would have changed more than it should");
  }
}
