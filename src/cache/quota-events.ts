import type { Digest } from "../oci/digest.ts";
import type { UpstreamName } from "../oci/names.ts";

/** Receives what can push an upstream over its quota. Called right after the metadata was written. */
export interface QuotaEvents {
  /** A blob was stored; `size` is in bytes. */
  stored(digest: Digest, size: number): void;
  /** Blobs, stored or not, became visible in a repository of the upstream. */
  linked(upstream: UpstreamName, digests: readonly Digest[]): void;
}
