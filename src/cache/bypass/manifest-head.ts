import { type Digest, parseDigest } from "../../oci/digest.ts";
import { isManifestType } from "../../oci/media-types.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { ManifestResult, ManifestHeadResult } from "../results.ts";
import type { Upstream } from "../upstream.ts";

/**
 * An upstream's unverified response to a HEAD request for a manifest. `undefined` if the HEAD fails, or
 * if the response lacks the digest, the size or a manifest's media type.
 *
 * @throws Fault
 */
export async function headUpstream(
  { registry }: Upstream,
  { repository }: RepositoryRef,
  reference: Tag | Digest,
): Promise<Omit<ManifestHeadResult, "cacheStatus"> | undefined> {
  const head = await registry.headManifest(repository, reference);
  if (!head) return undefined;
  const { mediaType, size } = head;
  const digest = parseDigest(reference) ?? head.digest;
  if (!digest || size === undefined || !isManifestType(mediaType)) return undefined;
  return { digest, mediaType, size };
}

/** The result of a HEAD request for a manifest that was fetched or stored. */
export function toHeadResult({ manifest, cacheStatus }: ManifestResult): ManifestHeadResult {
  const { digest, mediaType, bytes } = manifest;
  return { digest, mediaType, size: bytes.byteLength, cacheStatus };
}
