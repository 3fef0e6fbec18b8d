/** The directory whose hosts.toml is read for registries that have no directory of their own. */
export const DEFAULT_DIRECTORY = "_default";

/**
 * The name of a registry's directory below `config_path`: `registry.test_5000_` for
 * `registry.test:5000`. containerd looks for this form first, and for the plain `host:port` next.
 */
export function directoryName(registry: string): string {
  const match = /^(.+):(\d+)$/.exec(registry);
  return match ? `${match[1]}_${match[2]}_` : registry;
}

/** The registry that a directory's name stands for: the inverse of `directoryName`. */
export function registryOfDirectory(name: string): string {
  const match = /^(.+)_(\d+)_$/.exec(name);
  return match ? `${match[1]}:${match[2]}` : name;
}
