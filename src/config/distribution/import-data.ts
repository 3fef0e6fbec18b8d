import path from "node:path";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import type { DataSetting, RegistrySettings } from "./registry-settings.ts";

const DEFAULT_ROOT = "/var/lib/registry";

/** Imports where the registries have their data, for `entrepot adopt --from`. */
export function importData(
  proxies: readonly { readonly name: string; readonly registry: RegistrySettings }[],
  imported: ImportedConfig,
): void {
  for (const { name, registry } of proxies) {
    const found = dataOf(registry, imported);
    if (found) imported.adopt(name, found.data, found.from);
  }
}

/** Undefined for object storage, memory, or a container without a volume. */
function dataOf(
  { settings, data, isInContainer, from }: RegistrySettings,
  imported: ImportedConfig,
): DataSetting | undefined {
  if (data || isInContainer) return data;
  // Without any storage, it is a part of a configuration: a registry would not start with it.
  if (![...settings.keys()].some((key) => /^storage\.filesystem(?:\.|$)/.test(key))) {
    return undefined;
  }
  const root = settings.get("storage.filesystem.rootdirectory");
  if (!root) return { data: { folder: DEFAULT_ROOT }, from };
  if (path.isAbsolute(root.value)) {
    return { data: { folder: path.normalize(root.value) }, from: root.from };
  }
  const reason =
    "is relative to the folder in which the registry was started: set its path as adopt.folder of the upstream";
  imported.skip(root.from, reason);
  return undefined;
}
