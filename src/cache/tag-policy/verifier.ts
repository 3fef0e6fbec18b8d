import type { VerifyRule } from "../../config/policies/policy-settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { VerificationRecord } from "../../store/verification-store.ts";

/** Whether the signatures of a digest are as a rule wants them. */
export interface Verifier {
  /**
   * Answers from what is recorded, or looks for signatures in the repository. Concurrent questions share a look.
   *
   * @returns undefined if it cannot be found out now, since the registry cannot be asked
   */
  verify(
    repo: RepositoryRef,
    digest: Digest,
    rule: VerifyRule,
  ): Promise<VerificationRecord | undefined>;
}
