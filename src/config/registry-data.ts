import path from "node:path";

/**
 * Where a registry:2 keeps its data, the parent of `docker/registry/v2`. The path of a named volume is
 * known to Docker or Podman only.
 */
export type RegistryData =
  { readonly folder: string } | { readonly volume: string; readonly subpath?: string | undefined };

/** Docker's and Podman's names of volumes: they cannot be taken for a flag or a path. */
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/;

export function isVolumeName(text: string): boolean {
  return VOLUME_NAME.test(text);
}

/** Whether a path is one below a folder, in whatever folder it is. */
export function isSubpath(text: string): boolean {
  if (text === "" || text.includes("\0") || path.posix.isAbsolute(text)) return false;
  return !text.split("/").includes("..");
}

/** A text for messages, the same for the same data: `/srv/hub`, `volume caches/ghcr`. */
export function describeData(data: RegistryData): string {
  if ("folder" in data) return data.folder;
  return `volume ${path.posix.join(data.volume, data.subpath ?? "")}`;
}
