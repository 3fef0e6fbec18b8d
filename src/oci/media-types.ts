export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
/** Removed from the specification, but still pushed by older tools. */
export const OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json";

/**
 * The manifest types that the cache stores. Docker's schema 1 is excluded: its bytes cannot be
 * verified against its digest.
 */
export const MANIFEST_TYPES = [
  OCI_INDEX,
  OCI_MANIFEST,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_ARTIFACT,
] as const;

export type ManifestType = (typeof MANIFEST_TYPES)[number];

/** The Accept header for upstreams. Some return 404 if it lacks the type of the stored manifest. */
export const MANIFEST_ACCEPT = MANIFEST_TYPES.join(", ");

export function isManifestType(type: string): type is ManifestType {
  return (MANIFEST_TYPES as readonly string[]).includes(type); // Widened: `includes` only accepts members.
}

export function isIndexType(type: string): boolean {
  return type === OCI_INDEX || type === DOCKER_LIST;
}

/** The media type of a Content-Type header, in lower case and without parameters. */
export function bareMediaType(header: string | null): string {
  return (header ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}
