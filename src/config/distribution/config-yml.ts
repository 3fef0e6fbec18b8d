import { originIn } from "../foreign/imported-config.ts";
import type { YamlSource } from "../parsing/yaml-source.ts";
import type { RegistrySettings } from "./registry-settings.ts";

/** Reads the settings of a config.yml of registry:2 or registry:3. */
export function readConfigYml(source: YamlSource): RegistrySettings {
  const registry: RegistrySettings = { from: originIn(source, [], ""), settings: new Map() };
  collect(source, source.value, [], registry);
  return registry;
}

/** Whether a YAML value is a config.yml: it has a version and at least one of the main sections. */
export function isConfigYml(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return "version" in value && ("storage" in value || "http" in value || "proxy" in value);
}

function collect(
  source: YamlSource,
  value: unknown,
  at: readonly string[],
  registry: RegistrySettings,
): void {
  const isMapping = typeof value === "object" && value !== null && !Array.isArray(value);
  const entries = isMapping ? Object.entries(value) : [];
  if (entries.length > 0) {
    for (const [key, child] of entries) collect(source, child, [...at, key], registry);
  } else if (at.length > 0) {
    const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
    registry.settings.set(at.join("."), { value: text, from: originIn(source, at) });
  }
}
