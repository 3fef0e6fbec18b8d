import type { RepositoryName, Tag, UpstreamName } from "../oci/names.ts";

/** A repository of an upstream registry. It is the unit of access: blobs are shared, access is not. */
export interface RepositoryRef {
  readonly upstream: UpstreamName;
  readonly repository: RepositoryName;
}

/** A tag of a repository. */
export interface TagRef {
  readonly repo: RepositoryRef;
  readonly tag: Tag;
}
