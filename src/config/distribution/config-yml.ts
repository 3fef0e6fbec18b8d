import { originIn } from "../foreign/imported-config.ts";
import type { YamlSource } from "../parsing/yaml-source.ts";
import type { RegistrySettings } from "./registry-settings.ts";

/** A config.yml of registry:2 or registry:3, every leaf of it by its path. */
export function readConfigYml(source: YamlSource): RegistrySettings {
  const facts: RegistrySettings = { from: originIn(source, [], ""), settings: new Map() };
  collect(source, source.value, [], facts);
  return facts;
}

/** Whether a YAML file looks like one: its version and one of the sections that it cannot lack. */
export function isConfigYml(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return "version" in value && ("storage" in value || "http" in value || "proxy" in value);
}

function collect(
  source: YamlSource,
  value: unknown,
  at: readonly string[],
  facts: RegistrySettings,
): void {
  const isMapping = typeof value === "object" && value !== null && !Array.isArray(value);
  const entries = isMapping ? Object.entries(value) : [];
  if (entries.length > 0) {
    for (const [key, inner] of entries) collect(source, inner, [...at, key], facts);
  } else if (at.length > 0) {
    const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
    facts.settings.set(at.join("."), { value: text, from: originIn(source, at) });
  }
}
