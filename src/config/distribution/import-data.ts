import path from "node:path";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import { describeData, type RegistryData } from "../registry-data.ts";
import type { DataSetting, RegistrySettings } from "./registry-settings.ts";

const DEFAULT_ROOT = "/var/lib/registry";

/** A registry, with the upstream that it becomes; undefined if it is no proxy. */
export interface NamedRegistry {
  readonly name: string | undefined;
  readonly registry: RegistrySettings;
}

/**
 * Imports where the registries have their data, for `entrepot adopt --from`. Data in which several registries
 * store is left out: nothing says whose an image is, so those of one would answer for those of another.
 */
export function importData(registries: readonly NamedRegistry[], imported: ImportedConfig): void {
  const stored = registries.flatMap(({ name, registry }) => {
    const found = dataOf(registry, imported);
    return found ? [{ name, ...found }] : [];
  });
  for (const one of stored) {
    const { name, data, from } = one;
    if (name === undefined) continue;
    const others = stored.filter(
      (other) => other !== one && describeData(other.data) === describeData(data),
    );
    if (others.length === 0) imported.adopt(name, data, from);
    else imported.skip(from, sharedReason(name, data, others));
  }
}

function sharedReason(
  name: string,
  data: RegistryData,
  others: readonly (DataSetting & Pick<NamedRegistry, "name">)[],
): string {
  const names = others.map(
    (other) =>
      `${other.name ?? "a registry that is no proxy"} (${other.from.file}:${other.from.line})`,
  );
  return `${names.join(", ")} ${names.length === 1 ? "has" : "have"} the same data, ${describeData(data)}: it is not adopted for ${name}, since nothing says whose images are in it. Set adopt of that upstream to what is its own, if you know`;
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
    return { data: { folder: path.resolve(root.value) }, from: root.from };
  }
  const reason =
    "is relative to the folder in which the registry was started: set its path as adopt.folder of the upstream";
  imported.skip(root.from, reason);
  return undefined;
}
