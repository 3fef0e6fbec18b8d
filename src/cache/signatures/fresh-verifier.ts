import type { VerifyRule } from "../../config/policies/policy-settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { VerificationRecord, VerificationStore } from "../../store/verification-store.ts";
import type { TrialVerifier } from "../tag-policy/verifier.ts";
import { SignatureVerifier, type SignatureVerifierOptions } from "./signature-verifier.ts";

export interface FreshVerifierOptions extends Pick<
  SignatureVerifierOptions,
  "lookups" | "trustRoots" | "upstreamOf"
> {
  readonly records: Pick<VerificationStore, "get" | "find">;
  readonly signal?: AbortSignal | undefined;
}

/** Verifies by rules that do not hold, as they would: what it finds is neither recorded nor told. */
export class FreshVerifier implements TrialVerifier {
  readonly #verifier: SignatureVerifier;
  readonly #reasons = new Map<string, string>();
  readonly #aborted: Promise<never>;

  constructor({ records, signal, ...parts }: FreshVerifierOptions) {
    this.#verifier = new SignatureVerifier({
      ...parts,
      records: {
        get: (repo, digest, revision) => records.get(repo, digest, revision),
        find: (repo, digests, revision) => records.find(repo, digests, revision),
        put: async () => {},
      },
      onUnverifiable: (repo, digest, why) => this.#reasons.set(keyOf(repo, digest), why),
    });
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    this.#aborted = promise;
  }

  async known(
    repo: RepositoryRef,
    digest: Digest,
    rule: VerifyRule,
  ): Promise<VerificationRecord | undefined> {
    return this.#verifier.known(repo, digest, rule);
  }

  async knownOf(
    repo: RepositoryRef,
    digests: readonly Digest[],
    rule: VerifyRule,
  ): Promise<ReadonlyMap<Digest, VerificationRecord>> {
    return this.#verifier.knownOf(repo, digests, rule);
  }

  /** @throws the reason of the signal, once that aborts */
  async verify(
    repo: RepositoryRef,
    digest: Digest,
    rule: VerifyRule,
  ): Promise<VerificationRecord | undefined> {
    // Of a rule that only observes, nobody waits for what is found.
    if (rule.mode !== "enforce") return undefined;
    return Promise.race([this.#verifier.verify(repo, digest, rule), this.#aborted]);
  }

  whyUnknown(repo: RepositoryRef, digest: Digest): string {
    const why = this.#reasons.get(keyOf(repo, digest));
    return `whether it is signed cannot be found out: ${why ?? "its registry takes too long"}`;
  }
}

function keyOf({ upstream, repository }: RepositoryRef, digest: Digest): string {
  return `${upstream}/${repository}@${digest}`;
}
