export const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
/** Removed from the specification, but still pushed by older tools. */
export const OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json";

export const OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
/** The config of Docker's images, by which a manifest without a type is recognised as Docker's. */
export const DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";

/** Whether it is that of the config of a container image, in place of an artifact's. */
export function isImageConfigType(type: string): boolean {
  return type === OCI_CONFIG || type === DOCKER_CONFIG;
}

/** What types of layers begin with: the compression follows. Those that may not be distributed have others. */
const LAYER_TYPES = [
  "application/vnd.oci.image.layer.v1.tar",
  "application/vnd.docker.image.rootfs.diff.tar",
] as const;

/** Whether it is that of a layer of a container image that a registry has. */
export function isLayerType(type: string): boolean {
  return LAYER_TYPES.some((prefix) => type.startsWith(prefix));
}

/**
 * The manifest types that the cache knows. Docker's schema 1 is excluded: its bytes cannot be
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

/**
 * The Accept header for upstreams. Some return 404 if it lacks the type of the stored manifest, which may
 * be a vendor's. Containerd sends the same wildcard.
 */
export const MANIFEST_ACCEPT = [...MANIFEST_TYPES, "*/*"].join(", ");

export function isManifestType(type: string): type is ManifestType {
  return (MANIFEST_TYPES as readonly string[]).includes(type); // Widened: `includes` only accepts members.
}

export function isIndexType(type: string): boolean {
  return type === OCI_INDEX || type === DOCKER_LIST;
}

/** By RFC 6838: it may become a header. */
const VENDOR_TYPE = /^application\/vnd\.[a-z0-9!#$&^_.+-]{1,120}$/;
const SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+";

/** Whether it is a vendor's own type, of which the cache does not know what it is. */
export function isVendorType(type: string): boolean {
  return VENDOR_TYPE.test(type) && !isManifestType(type) && !type.startsWith(SCHEMA_1);
}

/** The media type of a Content-Type header, in lower case and without parameters. */
export function bareMediaType(header: string | null): string {
  return (header ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}
