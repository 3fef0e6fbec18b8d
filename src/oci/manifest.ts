import { z } from "zod";
import { type Digest, parseDigest } from "./digest.ts";
import { isIndexType, isManifestType, type ManifestType } from "./media-types.ts";

/**
 * The maximum size of a manifest, in bytes. distribution-spec requires registries to accept at
 * least 4 MiB.
 */
export const MAX_MANIFEST_BYTES = 8 * 1024 * 1024;

/** A descriptor in a manifest (OCI image-spec, descriptor.md). `size` is in bytes. */
export interface Descriptor {
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
  /** `os/architecture[/variant]`, for the entries of an image index. */
  readonly platform?: string;
}

/** A validated manifest or image index. The caller keeps the original bytes: only they match the digest. */
export interface Manifest {
  readonly mediaType: ManifestType;
  /** The manifests of an image index, one per platform. */
  readonly manifests: readonly Descriptor[];
  /**
   * The config and layers of an image. Layers with `urls` are omitted: runtimes fetch them from
   * those URLs.
   */
  readonly blobs: readonly Descriptor[];
  readonly subject?: Digest;
}

/** The manifest is invalid or unsupported. The message follows `the manifest is not valid: `. */
export class ManifestError extends Error {
  override readonly name = "ManifestError";
}

const digest = z.string().transform((text, context) => {
  const parsed = parseDigest(text);
  if (parsed) return parsed;
  context.addIssue({ code: "custom", message: "is not a valid sha256 or sha512 digest" });
  return z.NEVER;
});

const descriptor = z.object({
  mediaType: z.string().default("application/octet-stream"),
  digest,
  size: z.number().int().nonnegative(),
  urls: z.array(z.string()).nullish(),
  platform: z
    .object({ os: z.string(), architecture: z.string(), variant: z.string().nullish() })
    .nullish(),
});

const document = z.object({
  schemaVersion: z.number().optional(),
  mediaType: z.string().optional(),
  manifests: z.array(descriptor).nullish(),
  config: descriptor.nullish(),
  layers: z.array(descriptor).nullish(),
  /** Only in the artifact manifest, which the specification has removed. */
  blobs: z.array(descriptor).nullish(),
  subject: descriptor.nullish(),
});

/**
 * Parses a manifest and validates it against the Content-Type that it was sent with.
 *
 * @param contentType the media type without parameters; empty if the header is absent
 * @throws ManifestError if the manifest is too large, is not JSON, has schema version 1, contradicts its
 * Content-Type, or has both manifests and layers, which clients could interpret differently
 * (CVE-2021-41190)
 */
export function parseManifest(bytes: Uint8Array, contentType: string): Manifest {
  if (bytes.byteLength > MAX_MANIFEST_BYTES) {
    throw new ManifestError(
      `its ${bytes.byteLength} bytes exceed the limit of ${MAX_MANIFEST_BYTES}`,
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ManifestError(`it is not JSON (Content-Type: ${contentType || "none"})`, {
      cause,
    });
  }
  const parsed = document.safeParse(json);
  if (!parsed.success) throw new ManifestError(z.prettifyError(parsed.error).replaceAll("\n", " "));
  const body = parsed.data;
  if (body.schemaVersion === 1) {
    throw new ManifestError(
      "Docker image manifest schema 1 is obsolete and cannot be cached: push the image again with a current tool",
    );
  }
  const mediaType = body.mediaType ?? contentType;
  if (
    body.mediaType !== undefined &&
    isManifestType(contentType) &&
    body.mediaType !== contentType
  ) {
    throw new ManifestError(
      `its mediaType ${body.mediaType} contradicts its Content-Type ${contentType}`,
    );
  }
  if (!isManifestType(mediaType))
    throw new ManifestError(`${mediaType || "no media type"} is not a supported manifest type`);
  const images = [body.config ?? [], body.layers ?? [], body.blobs ?? []].flat();
  if (body.manifests && images.length > 0)
    throw new ManifestError("it has both manifests and layers");
  if (isIndexType(mediaType) !== Array.isArray(body.manifests)) {
    throw new ManifestError(`its fields do not match its media type ${mediaType}`);
  }
  return {
    mediaType,
    manifests: (body.manifests ?? []).map(toDescriptor),
    blobs: images.filter((entry) => !entry.urls?.length).map(toDescriptor),
    ...(body.subject ? { subject: body.subject.digest } : {}),
  };
}

function toDescriptor(entry: z.infer<typeof descriptor>): Descriptor {
  const { platform } = entry;
  return {
    digest: entry.digest,
    size: entry.size,
    mediaType: entry.mediaType,
    ...(platform
      ? {
          platform: [platform.os, platform.architecture, platform.variant]
            .filter(Boolean)
            .join("/"),
        }
      : {}),
  };
}
