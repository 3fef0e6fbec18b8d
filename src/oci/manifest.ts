import { z } from "zod";
import { type Digest, parseDigest } from "./digest.ts";
import { isIndexType, isManifestType, type ManifestType } from "./media-types.ts";

/** The largest manifest that is accepted, in bytes (distribution-spec asks registries for at least 4 MiB). */
export const MAX_MANIFEST_BYTES = 8 * 1024 * 1024;

/** What a manifest points at. `size` is in bytes. */
export interface Descriptor {
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
  /** `os/architecture[/variant]` of an index's entry. */
  readonly platform?: string;
}

/** A manifest whose form was checked; its bytes are kept apart, since only they match its digest. */
export interface Manifest {
  readonly mediaType: ManifestType;
  /** Platform manifests of an index. */
  readonly manifests: readonly Descriptor[];
  /** Config and layers of an image. Layers with `urls` are left out: runtimes fetch those elsewhere. */
  readonly blobs: readonly Descriptor[];
  readonly subject?: Digest;
}

export class ManifestError extends Error {
  override readonly name = "ManifestError";
}

const digest = z.string().transform((text, context) => {
  const parsed = parseDigest(text);
  if (parsed) return parsed;
  context.addIssue({ code: "custom", message: "is no sha256 or sha512 digest" });
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
  /** Of the retired artifact manifest. */
  blobs: z.array(descriptor).nullish(),
  subject: descriptor.nullish(),
});

/**
 * Checks a manifest's form against the type that it was sent as.
 *
 * @throws ManifestError where it is no JSON, is schema 1, contradicts its Content-Type, or holds
 * both manifests and layers, which two readers would understand differently (CVE-2021-41190).
 */
export function parseManifest(bytes: Uint8Array, contentType: string): Manifest {
  if (bytes.byteLength > MAX_MANIFEST_BYTES) {
    throw new ManifestError(
      `a manifest of ${bytes.byteLength} bytes is over the limit of ${MAX_MANIFEST_BYTES}`,
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ManifestError(`not JSON (sent as ${contentType || "no type"})`, { cause });
  }
  const read = document.safeParse(json);
  if (!read.success) throw new ManifestError(z.prettifyError(read.error).replaceAll("\n", " "));
  const body = read.data;
  if (body.schemaVersion === 1) {
    throw new ManifestError(
      "Docker image manifest schema 1 is obsolete and cannot be cached: push the image again",
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
    throw new ManifestError(`${mediaType || "no media type"} is no manifest type`);
  const images = [body.config ?? [], body.layers ?? [], body.blobs ?? []].flat();
  if (body.manifests && images.length > 0)
    throw new ManifestError("it holds manifests and layers at once");
  if (isIndexType(mediaType) !== Array.isArray(body.manifests)) {
    throw new ManifestError(`its content does not fit its type ${mediaType}`);
  }
  return {
    mediaType,
    manifests: (body.manifests ?? []).map(reference),
    blobs: images.filter((entry) => !entry.urls?.length).map(reference),
    ...(body.subject ? { subject: body.subject.digest } : {}),
  };
}

function reference(entry: z.infer<typeof descriptor>): Descriptor {
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
