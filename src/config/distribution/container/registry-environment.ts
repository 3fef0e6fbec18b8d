import type { ImportedConfig } from "../../foreign/imported-config.ts";
import { ConfigError } from "../../parsing/problems.ts";
import { settingsIn } from "../config-yml.ts";
import type { Setting } from "../registry-settings.ts";
import type { Variable } from "./container.ts";
import { asWritten, mark, unresolvedIn } from "./unresolved.ts";

const PREFIX = "REGISTRY_";
const PASSWORD = "REGISTRY_PROXY_PASSWORD";
const SECRET = /USERNAME|PASSWORD|SECRET|KEY|TOKEN/;

/** A command that prints a file, as in `-e REGISTRY_PROXY_PASSWORD="$(cat /etc/password)"`. */
const PRINTED_FILE = /^(?:\$\(|`)\s*(?:cat\s+|<\s*)(["']?)(\/[^\s"'`$|;&<>()]+)\1\s*(?:\)|`)$/;

/**
 * Applies the variables that override settings of config.yml, as the registry does: in the order of
 * their names, each value read as YAML. A value that is a mapping replaces a whole section.
 *
 * @returns the file that the password is read from, if a command reads it from one
 */
export function applyEnvironment(
  environment: readonly Variable[],
  settings: Map<string, Setting>,
  imported: ImportedConfig,
): Setting | undefined {
  let passwordFile: Setting | undefined;
  // The last of several variables with the same name is the one that the process gets.
  const variables = new Map(environment.map((variable) => [variable.name, variable]));
  const names = [...variables.keys()].filter((name) => name.startsWith(PREFIX)).sort();
  for (const name of names) {
    const variable = variables.get(name);
    if (!variable || name === "REGISTRY_CONFIGURATION_PATH") continue;
    const { value, from } = variable;
    const unresolved = value === undefined ? undefined : unresolvedIn(value);
    if (value === undefined) {
      imported.reject(from, "takes its value from the environment: write NAME=VALUE");
    } else if (unresolved !== undefined && name === PASSWORD && fileIn(value) !== undefined) {
      passwordFile = { value: fileIn(value) ?? "", from };
    } else if (unresolved !== undefined) {
      // What looks like a variable may be a part of a password.
      const isWhole = value === mark(unresolved) || !SECRET.test(name);
      const known = isWhole ? ` (${unresolved} is not known)` : "";
      imported.reject(from, `takes its value from a variable: write the value out${known}`);
    } else {
      const key = name.slice(PREFIX.length).toLowerCase().replaceAll("_", ".");
      override(key, { value, from }, settings, imported);
    }
  }
  return passwordFile;
}

function fileIn(value: string): string | undefined {
  return PRINTED_FILE.exec(asWritten(value))?.[2];
}

function override(
  key: string,
  { value, from }: Setting,
  settings: Map<string, Setting>,
  imported: ImportedConfig,
): void {
  let values: ReadonlyMap<string, string>;
  try {
    values = settingsIn(value);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // The value may be a password: the parser's message, which quotes it, is left out.
    imported.reject(from, "is not valid YAML, as which the registry reads it: put it in quotes");
    return;
  }
  for (const known of settings.keys()) {
    if (known === key || known.startsWith(`${key}.`)) settings.delete(known);
  }
  for (const [path, text] of values) {
    // An empty value means that the setting is not set.
    if (text !== "") settings.set(path === "" ? key : `${key}.${path}`, { value: text, from });
  }
}
