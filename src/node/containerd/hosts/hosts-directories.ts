import { posix } from "node:path";
import {
  DEFAULT_DIRECTORY,
  directoryName,
  registryOfDirectory,
} from "../../../config/containerd/registry-directory.ts";
import type { FileView } from "../../files/node-files.ts";
import type { Traits } from "../traits.ts";

/** The directory names that containerd tries for a registry, in this order. */
export function candidates(host: string, traits: Traits): string[] {
  return [
    ...new Set([directoryName(host), host]),
    ...(traits.readsDefaultDirectory ? [DEFAULT_DIRECTORY] : []),
  ];
}

/**
 * The directory that containerd uses for a registry: the first one that *exists*, even if it is empty.
 *
 * @param roots the directories of config_path
 */
export function directoryInForce(
  view: FileView,
  roots: readonly string[],
  host: string,
  traits: Traits,
): string | undefined {
  for (const root of roots) {
    for (const name of candidates(host, traits)) {
      const path = posix.join(root, name);
      if (view.isDirectory(path)) return path;
    }
  }
  return undefined;
}

/** The registries' directories below one root. Others, such as Spegel's `_backup`, are never read. */
export function registryDirectories(view: FileView, root: string): string[] {
  return (view.list(root) ?? []).filter(
    (name) => isRegistryDirectory(name) && view.isDirectory(posix.join(root, name)),
  );
}

const LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?";
const HOST = new RegExp(String.raw`^(?:${LABEL}(?:\.${LABEL})*|\[[0-9a-f:.]+\])(?::\d+)?$`, "i");

/** Whether an image reference can name the registry of a directory (its domain in distribution's grammar). */
function isRegistryDirectory(name: string): boolean {
  return name === DEFAULT_DIRECTORY || HOST.test(registryOfDirectory(name));
}

/**
 * Whether the first part of an image reference is this registry. Without a dot, a port or the name
 * localhost it is a repository of Docker Hub.
 */
export function isNamedByImages(directory: string): boolean {
  return (
    directory === DEFAULT_DIRECTORY ||
    /[.:[]|^localhost$/.test(registryOfDirectory(directory)) ||
    /[A-Z]/.test(directory)
  );
}

/** Certificates in Docker's layout. containerd uses them only in a directory without hosts.toml. */
export interface LooseCertificates {
  readonly ca: readonly string[];
  readonly client: readonly (readonly [certificate: string, key: string])[];
}

export function looseCertificates(view: FileView, directory: string): LooseCertificates {
  const names = view.list(directory) ?? [];
  const path = (name: string): string => posix.join(directory, name);
  return {
    ca: names.filter((name) => name.endsWith(".crt")).map(path),
    client: names
      .filter((name) => name.endsWith(".cert"))
      .map((name) => {
        const key = name.replace(/\.cert$/, ".key");
        return [path(name), names.includes(key) ? path(key) : ""];
      }),
  };
}
