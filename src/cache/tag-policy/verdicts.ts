import type { AgeRule, VerifyRule } from "../../config/policies/policy-settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { TagStay } from "../../store/tag-history.ts";
import type { VerificationRecord } from "../../store/verification-store.ts";
import type { Looking, Verifier } from "./verifier.ts";

interface Asked {
  readonly age: AgeRule | undefined;
  readonly verify: VerifyRule | undefined;
  /** In milliseconds of the epoch. */
  readonly now: number;
  readonly looking: Looking;
}

/** What a tag has had, and the rules for it. */
export interface Judged {
  readonly stays: readonly TagStay[];
  readonly age?: AgeRule | undefined;
  readonly verify?: VerifyRule | undefined;
}

/** What is known of signatures, or is waited for. */
export class Verdicts {
  readonly #verifier: Verifier | undefined;

  /** @param verifier absent: no signatures can be verified, and no rule asks for them */
  constructor(verifier: Verifier | undefined) {
    this.#verifier = verifier;
  }

  /** What is found is recorded; nobody waits for it. */
  observe(repo: RepositoryRef, digest: Digest, rule: VerifyRule): void {
    this.#verifier?.verify(repo, digest, rule).catch(() => {});
  }

  /**
   * Where everything is served nonetheless (`observe`), nobody waits for it.
   *
   * @returns undefined if it is not known, and cannot be found out now
   */
  async of(
    repo: RepositoryRef,
    digest: Digest,
    rule: VerifyRule,
    looking: Looking,
  ): Promise<VerificationRecord | undefined> {
    if (looking === "wait" && rule.mode === "enforce") {
      return this.#verifier?.verify(repo, digest, rule);
    }
    if (looking !== "never") this.observe(repo, digest, rule);
    return this.#verifier?.known(repo, digest, rule);
  }

  /**
   * When a log first had a signature of those digests of a tag that are too young by themselves, in milliseconds of
   * the epoch.
   */
  async loggedAt(
    repo: RepositoryRef,
    stays: readonly TagStay[],
    { age, verify, now, looking }: Asked,
  ): Promise<ReadonlyMap<Digest, number>> {
    const logged = new Map<Digest, number>();
    if (!verify) return logged;
    // All at once: of a tag that moves often, each would be waited for after the other.
    const looks = tooYoung({ stays, age, verify }, now).map(async (digest) => {
      const at = loggedTime(await this.of(repo, digest, verify, looking));
      if (at !== undefined) logged.set(digest, at);
    });
    await Promise.all(looks);
    return logged;
  }

  /** The same of many tags, by the rule that says who must have signed, as far as it is recorded. */
  async loggedByNow(
    repo: RepositoryRef,
    all: readonly Judged[],
    now: number,
  ): Promise<ReadonlyMap<VerifyRule | undefined, ReadonlyMap<Digest, number>>> {
    const byRule = new Map<VerifyRule | undefined, ReadonlyMap<Digest, number>>();
    for (const [rule, own] of Map.groupBy(all, ({ verify }) => verify)) {
      const digests = new Set(own.flatMap((one) => tooYoung(one, now)));
      if (!rule || digests.size === 0) continue;
      const logged = new Map<Digest, number>();
      for (const [digest, found] of (await this.#verifier?.knownOf(repo, [...digests], rule)) ??
        []) {
        const at = loggedTime(found);
        if (at !== undefined) logged.set(digest, at);
      }
      byRule.set(rule, logged);
    }
    return byRule;
  }
}

/** The digests of a tag that are too young, unless a log had a signature of them before. */
function tooYoung({ stays, age, verify }: Judged, now: number): Digest[] {
  if (!age || !verify || verify.mode === "off") return [];
  const seen = new Map<Digest, number>();
  for (const { digest, firstSeen } of stays) seen.set(digest, firstSeen);
  return [...seen]
    .filter(([, firstSeen]) => now - firstSeen < age.minAge)
    .map(([digest]) => digest);
}

function loggedTime(found: VerificationRecord | undefined): number | undefined {
  return found?.outcome === "passed" ? found.loggedAt : undefined;
}
