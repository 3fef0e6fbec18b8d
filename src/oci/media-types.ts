export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
/** Retired from the specification, still pushed by older tools. */
export const OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json";

/** Every manifest type that is cached. Docker's schema 1 is not: it cannot be verified by its digest. */
export const MANIFEST_TYPES = [
  OCI_INDEX,
  OCI_MANIFEST,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_ARTIFACT,
] as const;

export type ManifestType = (typeof MANIFEST_TYPES)[number];

/** What upstreams are asked for: some answer 404 where the list lacks the type that they hold. */
export const MANIFEST_ACCEPT = MANIFEST_TYPES.join(", ");

export function isManifestType(type: string): type is ManifestType {
  return (MANIFEST_TYPES as readonly string[]).includes(type); // Widened to ask about any text.
}

export function isIndexType(type: string): boolean {
  return type === OCI_INDEX || type === DOCKER_LIST;
}

/** A Content-Type without its parameters, in lower case. */
export function bareMediaType(header: string | null): string {
  return (header ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}
