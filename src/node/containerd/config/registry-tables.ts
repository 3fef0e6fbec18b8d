import type { Configuration } from "./configuration.ts";
import type { Setting } from "./registry-in-force.ts";
import type { Traits } from "../traits.ts";

/** One entry of the deprecated `mirrors`. */
export interface Mirror {
  /** A registry's host, or `*` for all registries without an entry of their own. */
  readonly registry: string;
  /** In the order and the form of the file; undefined if `endpoint` is not an array of strings. */
  readonly endpoints: readonly string[] | undefined;
  readonly file: string;
  readonly line: number;
}

/** One `configs.<host>.tls`, with paths on the node. */
export interface TlsEntry {
  readonly host: string;
  readonly ca?: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly skipVerify: boolean;
  readonly file: string;
  readonly line: number;
}

/** CRI's registry settings: how a node's containerd is configured to use mirrors. */
export interface RegistryTables {
  /**
   * `hosts`: `config_path`. `deprecated`: `mirrors` or `configs.*.tls`. `both`: these together, with which
   * CRI does not start (containerd#7844).
   */
  readonly kind: "none" | "deprecated" | "hosts" | "both";
  /** `config_path`, if it is set. */
  readonly configPath: Setting | undefined;
  /** The hosts directories in force, in order; the version's default if `config_path` is not set. */
  readonly directories: readonly string[];
  readonly mirrors: readonly Mirror[];
  readonly tls: readonly TlsEntry[];
  /** Hosts with credentials under `configs` or `auths`, which every version allows beside config_path. */
  readonly authHosts: readonly string[];
  readonly hasHeaders: boolean;
  /** Keys below `mirrors` and `configs.*.tls` that hosts.toml has no counterpart for. */
  readonly unknown: readonly Setting[];
}

export function readRegistryTables(configuration: Configuration, traits: Traits): RegistryTables {
  const { registry } = configuration;
  const configPath = registry.find((setting) => setting.path.join(".") === "config_path");
  const path = typeof configPath?.value === "string" ? configPath.value : undefined;
  const mirrors = readMirrors(registry);
  const tls = readTls(registry);
  const hasDeprecated = mirrors.length > 0 || tls.length > 0;
  const isSet = path !== undefined && path !== "";
  // The default of 2.2 and newer does not conflict with mirrors: containerd then reads these.
  const effective = path ?? (hasDeprecated ? "" : traits.defaultConfigPath);
  return {
    kind: isSet ? (hasDeprecated ? "both" : "hosts") : hasDeprecated ? "deprecated" : "none",
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
    unknown: registry.filter((setting) => isUnknown(setting.path)),
  };
}

function readMirrors(registry: readonly Setting[]): Mirror[] {
  return registry.flatMap((setting): Mirror[] => {
    const [kind, host, key] = setting.path;
    if (kind !== "mirrors" || host === undefined) return [];
    const { file, line } = setting;
    if (key !== undefined && key !== "endpoint") {
      // An entry with unknown keys only is an entry all the same, like an empty one.
      const isFirst = registry.find(({ path }) => path[0] === kind && path[1] === host) === setting;
      const hasEndpoint = registry.some(
        ({ path }) => path[0] === kind && path[1] === host && path[2] === "endpoint",
      );
      return isFirst && !hasEndpoint ? [{ registry: host, endpoints: [], file, line }] : [];
    }
    const values: unknown[] = Array.isArray(setting.value) ? setting.value : [];
    const texts = values.filter((value) => typeof value === "string");
    const isValid = key === undefined || Array.isArray(setting.value);
    const endpoints = isValid && texts.length === values.length ? texts : undefined;
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

function isUnknown([kind, , section, key]: readonly string[]): boolean {
  if (kind === "mirrors") return section !== undefined && section !== "endpoint";
  return kind === "configs" && section === "tls" && key !== undefined && !TLS_KEYS.has(key);
}
