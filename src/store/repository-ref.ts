import type { RepositoryName, UpstreamName } from "../oci/names.ts";

/** A repository of an upstream registry. It is the unit of access: blobs are shared, access is not. */
export interface RepositoryRef {
  readonly upstream: UpstreamName;
  readonly repository: RepositoryName;
}
