import type { Digest } from "../../oci/digest.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Source } from "./source.ts";

/** A manifest from beside the upstream. Nobody has verified it yet. */
export interface NearManifest {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly mediaType: string;
  /**
   * How long ago the upstream last answered for the place, in milliseconds, if whoever sent this vouches that it
   * may be seen there.
   */
  readonly answeredAgo?: number;
}

/** Where missing content can be had for less than from its upstream: other replicas, a store that they share. */
export interface NearSources {
  /**
   * For a fill, in the order in which they are asked before the upstream; none if none is usable now.
   *
   * @param size of the blob in bytes, if a manifest names it
   */
  of(place: RepositoryRef, digest: Digest, size?: number): readonly Source[];
  /** Takes no longer than a few round trips to what is near. Never rejects; `undefined` if none has it. */
  manifest(place: RepositoryRef, digest: Digest): Promise<NearManifest | undefined>;
}

/** A single machine has none. */
export const NO_NEAR_SOURCES: NearSources = {
  of: () => [],
  manifest: async () => undefined,
};
