import type { RepositoryName, UpstreamName } from "../oci/names.ts";
import type { RepositoryRef } from "./repository-ref.ts";

/** Whether an upstream shows a repository to anybody, as it last said. */
export interface VisibilityRecord {
  readonly isPublic: boolean;
  /** In milliseconds of the epoch. */
  readonly askedAt: number;
}

/** What upstreams show to anybody, by repository: needed where clients have to show who they are. */
export interface Visibility {
  get(repo: RepositoryRef): Promise<VisibilityRecord | undefined>;
  /** Adds a record or replaces the repository's earlier one. */
  put(repo: RepositoryRef, record: VisibilityRecord): Promise<void>;
  /**
   * Those of some repositories that the upstream shows to anybody, as it said since a moment, in milliseconds
   * of the epoch.
   */
  publicAmong(
    upstream: UpstreamName,
    repositories: readonly RepositoryName[],
    since: number,
  ): Promise<RepositoryName[]>;
  /**
   * Removes at most `limit` records that are from before a moment, in milliseconds of the epoch. Returns
   * how many were removed.
   */
  removeBefore(moment: number, limit: number): Promise<number>;
}
