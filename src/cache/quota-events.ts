import type { Digest } from "../oci/digest.ts";
import type { UpstreamName } from "../oci/names.ts";

/** Told of what upstreams have more of than before, right after it was written down. */
export interface QuotaEvents {
  /** A content is here now; `size` is in bytes. */
  stored(digest: Digest, size: number): void;
  /** Contents, here or not, may be seen in an upstream now. */
  linked(upstream: UpstreamName, digests: readonly Digest[]): void;
}
