import type { Digest } from "../oci/digest.ts";
import type { RepositoryRef } from "./repository-ref.ts";

/** What was found of the signatures of a digest in a repository, by one revision of a rule. */
export interface VerificationRecord {
  readonly outcome: "passed" | "failed";
  /** Who signed it, or why it fails: plain text, for people. */
  readonly detail: string;
  /** By a transparency log whose entry was verified, in milliseconds of the epoch. */
  readonly loggedAt?: number;
  /** In milliseconds of the epoch. */
  readonly verifiedAt: number;
}

export interface ListedVerification extends VerificationRecord {
  readonly repo: RepositoryRef;
  readonly digest: Digest;
  readonly revision: string;
}

export interface VerificationStore {
  /** @param revision names the rule as it is: another one is another question */
  get(
    repo: RepositoryRef,
    digest: Digest,
    revision: string,
  ): Promise<VerificationRecord | undefined>;
  /** Those of some digests of a repository, in one statement; digests without one are left out. */
  find(
    repo: RepositoryRef,
    digests: readonly Digest[],
    revision: string,
  ): Promise<ReadonlyMap<Digest, VerificationRecord>>;
  /** Adds a record or replaces the earlier one of the same revision. At most 20,000 are kept, the latest. */
  put(
    repo: RepositoryRef,
    digest: Digest,
    revision: string,
    record: VerificationRecord,
  ): Promise<void>;
  /** Those that failed by any of these revisions, the latest first. */
  failed(revisions: readonly string[], limit: number): Promise<ListedVerification[]>;
}
