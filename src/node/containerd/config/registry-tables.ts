import type { Configuration, Setting } from "./configuration.ts";
import type { Traits } from "../traits.ts";

/** One entry of the deprecated `mirrors`. */
export interface Mirror {
  /** A registry's host, or `*` for all that have no entry of their own. */
  readonly registry: string;
  /** As they stand there, in their order; undefined where they are no array of strings. */
  readonly endpoints: readonly string[] | undefined;
  readonly file: string;
  readonly line: number;
}

/** One `configs.<host>.tls`. Paths are the node's. */
export interface TlsEntry {
  readonly host: string;
  readonly ca?: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly skipVerify: boolean;
  readonly file: string;
  readonly line: number;
}

/** How a node's containerd is told about mirrors. */
export interface RegistryTables {
  /** both: `mirrors` or TLS beside a config_path, on which CRI does not start (containerd#7844). */
  readonly kind: "none" | "deprecated" | "hosts" | "both";
  /** What `config_path` says, where it says anything. */
  readonly configPath: Setting | undefined;
  /** The hosts directories in force, in their order; the version's default where nothing is set. */
  readonly directories: readonly string[];
  readonly mirrors: readonly Mirror[];
  readonly tls: readonly TlsEntry[];
  /** Hosts with credentials under `configs` or `auths`; allowed beside config_path everywhere. */
  readonly authHosts: readonly string[];
  readonly hasHeaders: boolean;
  /** Keys below `mirrors` and `configs.*.tls` that have no counterpart elsewhere. */
  readonly unknown: readonly Setting[];
}

export function registryTables(configuration: Configuration, traits: Traits): RegistryTables {
  const { registry } = configuration;
  const configPath = registry.find((setting) => setting.path.join(".") === "config_path");
  const path = typeof configPath?.value === "string" ? configPath.value : undefined;
  const mirrors = readMirrors(registry);
  const tls = readTls(registry);
  const hasOld = mirrors.length > 0 || tls.length > 0;
  const isSet = path !== undefined && path !== "";
  // 2.2 and newer have a default, which does not count as "provided" beside mirrors.
  const effective = path ?? (hasOld ? "" : traits.defaultConfigPath);
  return {
    kind: isSet ? (hasOld ? "both" : "hosts") : hasOld ? "deprecated" : "none",
    configPath,
    directories: effective.split(":").filter((part) => part !== ""),
    mirrors,
    tls,
    authHosts: [
      ...new Set(
        registry.flatMap(({ path: [kind, host, key] }) =>
          host !== undefined && (kind === "auths" || (kind === "configs" && key === "auth"))
            ? [host]
            : [],
        ),
      ),
    ],
    hasHeaders: registry.some((setting) => setting.path[0] === "headers"),
    unknown: registry.filter((setting) => isLost(setting.path)),
  };
}

function readMirrors(registry: readonly Setting[]): Mirror[] {
  return registry.flatMap((setting): Mirror[] => {
    const [kind, host, key] = setting.path;
    if (kind !== "mirrors" || host === undefined) return [];
    if (key !== undefined && key !== "endpoint") return [];
    const { file, line } = setting;
    const values: unknown[] = Array.isArray(setting.value) ? setting.value : [];
    const texts = values.filter((value) => typeof value === "string");
    const isSound = key === undefined || Array.isArray(setting.value);
    const endpoints = isSound && texts.length === values.length ? texts : undefined;
    return [{ registry: host, endpoints, file, line }];
  });
}

function readTls(registry: readonly Setting[]): TlsEntry[] {
  const entries = new Map<string, TlsEntry>();
  for (const setting of registry) {
    const [kind, host, section, key] = setting.path;
    if (kind !== "configs" || host === undefined || section !== "tls") continue;
    const { file, line, value } = setting;
    const entry = entries.get(host) ?? { host, skipVerify: false, file, line };
    entries.set(host, { ...entry, ...tlsField(key, value) });
  }
  return [...entries.values()];
}

function tlsField(key: string | undefined, value: unknown): Partial<TlsEntry> {
  if (key === "insecure_skip_verify") return { skipVerify: value === true };
  if (typeof value !== "string" || value === "") return {};
  if (key === "ca_file") return { ca: value };
  if (key === "cert_file") return { certificate: value };
  return key === "key_file" ? { key: value } : {};
}

const TLS_KEYS = new Set(["insecure_skip_verify", "ca_file", "cert_file", "key_file"]);

function isLost([kind, , section, key]: readonly string[]): boolean {
  if (kind === "mirrors") return section !== undefined && section !== "endpoint";
  return kind === "configs" && section === "tls" && key !== undefined && !TLS_KEYS.has(key);
}
