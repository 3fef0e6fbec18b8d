import type { VerifyRule } from "../../config/policies/policy-settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { VerificationRecord } from "../../store/verification-store.ts";

/**
 * Whether what is not recorded is looked for: `wait` until it is found, or for too long; `behind`, which is for those
 * who ask later; or `never`.
 */
export type Looking = "wait" | "behind" | "never";

/** Whether the signatures of a digest are as a rule wants them. */
export interface Verifier {
  /** What is recorded. Nobody is asked. */
  known(
    repo: RepositoryRef,
    digest: Digest,
    rule: VerifyRule,
  ): Promise<VerificationRecord | undefined>;
  /**
   * Answers from what is recorded, or looks for signatures in the repository. Concurrent questions share a look, and
   * the time for which it is waited for.
   *
   * @returns undefined if it cannot be found out now, since the registry cannot be asked
   */
  verify(
    repo: RepositoryRef,
    digest: Digest,
    rule: VerifyRule,
  ): Promise<VerificationRecord | undefined>;
  /** What is recorded of some digests. Nobody is asked. */
  knownOf(
    repo: RepositoryRef,
    digests: readonly Digest[],
    rule: VerifyRule,
  ): Promise<ReadonlyMap<Digest, VerificationRecord>>;
}

/** Verifies for a trial of rules, which tells what it cannot find out. */
export interface TrialVerifier extends Verifier {
  /** A sentence without its full stop. */
  whyUnknown(repo: RepositoryRef, digest: Digest): string;
}
