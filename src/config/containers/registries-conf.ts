import { tomlString } from "../containerd/toml-string.ts";

/** The file below /etc/containers/registries.conf.d by which Podman and CRI-O are pointed at the cache. */
export const OWN_FILE = "50-entrepot.conf";

/** A `[[registry.mirror]]` of containers-registries.conf(5). */
export interface RegistryMirror {
  /** `host:port/path`, without a scheme. */
  readonly location: string;
  /** Plain HTTP, or a certificate that is not checked. */
  readonly insecure?: boolean;
  /** `all`, `digest-only` or `tag-only`. */
  readonly pullFromMirror?: string;
}

/** A `[[registry]]`: what replaces the names that begin with its prefix. */
export interface Registry {
  readonly prefix: string;
  readonly location: string;
  readonly insecure?: boolean;
  readonly blocked?: boolean;
  readonly mirrorByDigestOnly?: boolean;
  /** In the order in which they are tried; the location itself comes last. */
  readonly mirrors: readonly RegistryMirror[];
}

/**
 * The cache as a mirror of a registry. The tools send no `ns` parameter: the registry's name is the
 * first component of the path.
 *
 * @param isPlain whether the cache speaks plain HTTP
 */
export function cacheMirror(host: string, registry: string, isPlain: boolean): RegistryMirror {
  return { location: `${host}/${registry}`, ...(isPlain ? { insecure: true } : {}) };
}

/** One `[[registry]]` with its mirrors. */
export function registryTable(registry: Registry): string {
  const { prefix, location, insecure, blocked, mirrorByDigestOnly, mirrors } = registry;
  const lines = [
    "[[registry]]",
    `prefix = ${tomlString(prefix)}`,
    `location = ${tomlString(location)}`,
    ...(insecure ? ["insecure = true"] : []),
    ...(blocked ? ["blocked = true"] : []),
    ...(mirrorByDigestOnly ? ["mirror-by-digest-only = true"] : []),
  ];
  for (const mirror of mirrors) {
    lines.push("", "[[registry.mirror]]", `location = ${tomlString(mirror.location)}`);
    if (mirror.insecure) lines.push("insecure = true");
    if (mirror.pullFromMirror !== undefined)
      lines.push(`pull-from-mirror = ${tomlString(mirror.pullFromMirror)}`);
  }
  return [...lines, ""].join("\n");
}
