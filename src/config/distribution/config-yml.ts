import { originIn } from "../foreign/imported-config.ts";
import { type Path, YamlSource } from "../parsing/yaml-source.ts";
import type { RegistrySettings } from "./registry-settings.ts";

/** Reads the settings of a config.yml of registry:2 or registry:3. */
export function readConfigYml(file: string, text: string): RegistrySettings {
  const source = YamlSource.ofTexts(file, text);
  const registry: RegistrySettings = { from: originIn(source, [], ""), settings: new Map() };
  collect(source.value, [], (at, value) => {
    if (at.length === 0 || value === "") return;
    // A list is reported as a whole.
    const list = at.findIndex((segment) => typeof segment === "number");
    const from = originIn(source, list < 0 ? at : at.slice(0, list));
    registry.settings.set(at.join("."), { value, from });
  });
  return registry;
}

/**
 * Reads a value of config.yml by itself, as in an environment variable: one text with the path "",
 * or the settings of a section.
 *
 * @throws ConfigError
 */
export function settingsIn(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  collect(YamlSource.ofTexts("", text).value, [], (at, value) => values.set(at.join("."), value));
  return values;
}

/** Whether a YAML value is a config.yml: it has a version and at least one of the main sections. */
export function isConfigYml(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return "version" in value && ("storage" in value || "http" in value || "proxy" in value);
}

function collect(value: unknown, at: Path, add: (at: Path, value: string) => void): void {
  if (Array.isArray(value)) {
    for (const [index, child] of value.entries()) collect(child, [...at, index], add);
  } else if (typeof value === "object" && value !== null) {
    for (const [key, child] of Object.entries(value)) collect(child, [...at, key], add);
  } else {
    // An empty value and null mean that the setting is not set.
    add(at, typeof value === "string" ? value : "");
  }
}
