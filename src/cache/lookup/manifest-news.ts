import type { Digest } from "../../oci/digest.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";

/** Tells other replicas of this cache what upstreams give. */
export interface ManifestNews {
  /** An upstream was asked so many milliseconds ago, and gave a manifest in a repository. */
  given(
    repo: RepositoryRef,
    manifest: { readonly digest: Digest; readonly size: number; readonly mediaType: string },
    ageMs: number,
  ): void;
}
