import { type Digest, parseDigest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { isManifestType } from "../../oci/media-types.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { ManifestResult, ManifestHeadResult } from "../results.ts";
import type { Upstream } from "../upstream.ts";

/**
 * What an upstream tells of a manifest by HEAD, unverified; `undefined` where that leaves open what a
 * client has to be told.
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

/** What a HEAD tells of a manifest that is here. */
export function headOf({ manifest, cacheStatus }: ManifestResult): ManifestHeadResult {
  const { digest, mediaType, bytes } = manifest;
  return { digest, mediaType, size: bytes.byteLength, cacheStatus };
}

/** Some registries do not know HEAD, and answer a GET all the same. */
export function unlessWithoutHead(error: unknown): undefined {
  if (error instanceof Fault && error.detail.kind === "upstream-failed") {
    if (error.detail.status === 405 || error.detail.status === 501) return undefined;
  }
  throw error;
}
