import { type Digest, parseDigest } from "./digest.ts";
import { isObject } from "./json-object.ts";
import {
  bareMediaType,
  DOCKER_CONFIG,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  isIndexType,
  isManifestType,
  isVendorType,
  OCI_ARTIFACT,
  OCI_INDEX,
  OCI_MANIFEST,
} from "./media-types.ts";
import { platformName } from "./platform.ts";

/**
 * The maximum size of a manifest, in bytes. distribution-spec requires registries to accept at
 * least 4 MiB.
 */
export const MAX_MANIFEST_BYTES = 8 * 1024 * 1024;

/** A descriptor in a manifest (OCI image-spec, descriptor.md). `size` is in bytes. */
export interface Descriptor {
  readonly digest: Digest;
  readonly size: number;
  /** Empty if it has none. */
  readonly mediaType: string;
  /** `os/architecture[/variant]`, for the entries of an image index. */
  readonly platform?: string;
}

/**
 * A manifest or image index, as far as the cache understands it: descriptors without a usable digest or
 * size are omitted. The caller keeps the original bytes, which are what clients get.
 */
export interface Manifest {
  /** The Content-Type under which it is served. */
  readonly mediaType: string;
  /** The manifests of an image index, one per platform. */
  readonly manifests: readonly Descriptor[];
  /**
   * The config and layers of an image. Layers with `urls` are omitted: runtimes fetch them from
   * those URLs.
   */
  readonly blobs: readonly Descriptor[];
}

/** The manifest is invalid or unsupported. The message follows `the manifest is not valid: `. */
export class ManifestError extends Error {
  override readonly name = "ManifestError";
}

export function invalidJson(cause: unknown): ManifestError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ManifestError(`it is not valid JSON: ${reason}`, { cause });
}

/** The members that are lists of descriptors; `blobs` only in the artifact manifest. */
export const LISTS = ["manifests", "layers", "blobs"] as const;

type ListName = (typeof LISTS)[number];

/**
 * Reads a manifest, and validates it against the Content-Type that it was sent with. Its form matters
 * only where clients could interpret it differently; whatever else is odd is left to them.
 *
 * @param text not nested deeply: see `parseManifest`
 * @param contentType the media type without parameters; empty if the header is absent
 * @throws ManifestError if the manifest is not JSON, has schema version 1, contradicts its Content-Type,
 * has the fields of neither a manifest nor an index, or those of both (CVE-2021-41190)
 */
export function readManifest(text: string, contentType: string): Manifest {
  const document = parseDocument(text);
  const stated = typeof document["mediaType"] === "string" ? document["mediaType"] : "";
  const types = { contentType, stated: bareMediaType(stated) };
  const { config, schemaVersion, fsLayers } = document;
  if (schemaVersion === 1 || (Array.isArray(fsLayers) && fsLayers.length > 0)) {
    throw new ManifestError(
      "Docker image manifest schema 1 is obsolete and cannot be cached: push the image again with a current tool",
    );
  }
  const lists = listsOf(document);
  const isImage = ["config", "layers", "blobs"].some((name) => hasMember(document, name));
  const isIndex = Array.isArray(document["manifests"]) || hasMember(document, "manifests");
  if (isIndex && isImage) throw new ManifestError("it has both manifests and layers, or a config");
  const mediaType = mediaTypeOf(types, document);
  if (isManifestType(mediaType) && (isIndexType(mediaType) ? isImage : isIndex)) {
    throw new ManifestError(`its fields do not match its media type ${mediaType}`);
  }
  return {
    mediaType,
    manifests: descriptorsIn("manifests", lists.manifests),
    blobs: [
      ...descriptorsIn("layers", [config, ...lists.layers]),
      ...descriptorsIn("blobs", lists.blobs),
    ],
  };
}

/** The usable descriptors of a list; see `Manifest`. */
export function descriptorsIn(list: ListName, values: readonly unknown[]): Descriptor[] {
  const own = list === "manifests" ? values : values.filter(hasNoUrls);
  return own.flatMap((value) => toDescriptor(value) ?? []);
}

function parseDocument(text: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw invalidJson(cause);
  }
  if (!isObject(json)) throw new ManifestError("it is not a JSON object");
  return json;
}

/** Absent lists are empty, and so are those that Go writes as `null`. */
function listsOf(
  document: Record<string, unknown>,
): Readonly<Record<ListName, readonly unknown[]>> {
  const listOf = (key: ListName): readonly unknown[] => {
    const value = document[key] ?? [];
    if (Array.isArray(value)) return value;
    throw new ManifestError(`its ${key} are not a list`);
  };
  return { manifests: listOf("manifests"), layers: listOf("layers"), blobs: listOf("blobs") };
}

/** Whether it has a member that is not empty, in any spelling: Go, and so most clients, takes them all. */
function hasMember(document: Record<string, unknown>, name: string): boolean {
  return Object.entries(document).some(([key, value]) => {
    const isEmpty = value === null || (Array.isArray(value) && value.length === 0);
    return !isEmpty && key.toUpperCase() === name.toUpperCase();
  });
}

interface StatedTypes {
  readonly contentType: string;
  /** That of the document itself, in lower case; empty if it has none. */
  readonly stated: string;
}

/**
 * The type to serve it under: the known one of the two that are stated. If none is known, the document
 * must have the fields of a manifest; it keeps a vendor's type, and otherwise gets the type of its fields.
 */
function mediaTypeOf(
  { contentType, stated }: StatedTypes,
  document: Record<string, unknown>,
): string {
  if (isManifestType(contentType)) {
    if (!isManifestType(stated) || stated === contentType) return contentType;
    throw new ManifestError(`its mediaType ${stated} contradicts its Content-Type ${contentType}`);
  }
  if (isManifestType(stated)) return stated;
  const inferred = typeOfFields(document);
  if (inferred !== undefined) return [contentType, stated].find(isVendorType) ?? inferred;
  throw new ManifestError(
    `it has no manifest's media type (${contentType || stated || "none"}), nor a manifest's fields`,
  );
}

/** As containers/image guesses it: Docker's types are recognised by what they refer to. */
function typeOfFields(document: Record<string, unknown>): string | undefined {
  const { manifests, config, layers, blobs } = document;
  if (Array.isArray(manifests)) {
    const [first] = descriptorsIn("manifests", manifests);
    return first?.mediaType === DOCKER_MANIFEST ? DOCKER_LIST : OCI_INDEX;
  }
  const isConfig = isObject(config) && typeof config["digest"] === "string";
  if (isConfig || layers !== undefined) {
    const isDocker = isConfig && config["mediaType"] === DOCKER_CONFIG;
    return isDocker ? DOCKER_MANIFEST : OCI_MANIFEST;
  }
  if (manifests !== undefined) return OCI_INDEX;
  return blobs === undefined ? undefined : OCI_ARTIFACT;
}

function hasNoUrls(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { urls } = value;
  return !Array.isArray(urls) || urls.length === 0;
}

/** `undefined` without a digest that the cache can verify, or without a size. */
function toDescriptor(value: unknown): Descriptor | undefined {
  if (!isObject(value)) return undefined;
  const { size, mediaType } = value;
  const digest = typeof value["digest"] === "string" ? parseDigest(value["digest"]) : undefined;
  if (!digest || typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    return undefined;
  }
  const platform = platformName(value["platform"]);
  return {
    digest,
    size,
    mediaType: typeof mediaType === "string" ? mediaType : "",
    ...(platform === undefined ? {} : { platform }),
  };
}
