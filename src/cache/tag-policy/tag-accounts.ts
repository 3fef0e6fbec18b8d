import type { PolicyRule, VerifyRule } from "../../config/policies/policy-settings.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { parseImagePattern } from "../../oci/image-pattern.ts";
import { imageName } from "../../oci/image-reference.ts";
import type { Tag } from "../../oci/names.ts";
import type { Override } from "../../store/override-store.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { TagHistory, TagStay } from "../../store/tag-history.ts";
import type { VerificationRecord, VerificationStore } from "../../store/verification-store.ts";
import { isActive, type Overrides } from "./overrides.ts";
import type { Hold, TagPolicy } from "./tag-policy.ts";

export interface TagAccountOptions {
  readonly history: Pick<TagHistory, "of">;
  readonly overrides: Pick<Overrides, "all" | "active">;
  readonly verifications: Pick<VerificationStore, "get">;
  readonly policy: TagPolicy;
  /** The rules as they are configured now. */
  readonly rules: () => readonly PolicyRule[];
  /** Whether the manifest is stored, and the repository shows it. */
  readonly isStored: (repo: RepositoryRef, digest: Digest) => Promise<boolean>;
}

/** A stay, with what else is known of its digest. */
export interface StayAccount extends TagStay {
  readonly isStored: boolean;
  /** Absent where no rule asks for signatures, or none were looked for yet. */
  readonly verification?: VerificationRecord;
}

/** What a tag was, what it is served as, and why. */
export interface TagAccount {
  /** `docker.io/library/node:24`. */
  readonly image: string;
  /** The latest first: the first one is what the registry says. */
  readonly stays: readonly StayAccount[];
  /** What clients get now if it can be had; absent where nothing is known of the tag, or it is refused. */
  readonly served?: Digest;
  /** Why that is not what the registry says, or why it is refused. */
  readonly hold?: Hold;
  /** The overrides that concern it, also those that have ended; the latest first. */
  readonly overrides: readonly Override[];
}

/** How many overrides are told of one tag. */
const MAX_TOLD = 50;
/** Stands for whichever digest a tag has. */
const ANY_DIGEST = digestOf(new Uint8Array());

/** Gathers what is known of tags. Nothing is fetched for it. */
export class TagAccounts {
  readonly #options: TagAccountOptions;

  constructor(options: TagAccountOptions) {
    this.#options = options;
  }

  /** @throws Fault if the metadata cannot be read */
  async of(repo: RepositoryRef, tag: Tag, now: number): Promise<TagAccount> {
    const { history } = this.#options;
    const known = await history.of(repo, tag);
    const rule = verifyRuleOf(this.#options.rules(), repo, tag);
    const stays = await Promise.all(known.map((stay) => this.#stayAccount(repo, stay, rule)));
    return {
      image: imageName({ ...repo, tag }),
      stays,
      ...(await this.#served(repo, tag, stays, { now, rule })),
      overrides: this.#concerning(repo, tag, known),
    };
  }

  async #stayAccount(
    repo: RepositoryRef,
    stay: TagStay,
    rule: VerifyRule | undefined,
  ): Promise<StayAccount> {
    const { verifications, isStored } = this.#options;
    const verification = rule && (await verifications.get(repo, stay.digest, rule.revision));
    return {
      ...stay,
      isStored: await isStored(repo, stay.digest),
      ...(verification ? { verification } : {}),
    };
  }

  async #served(
    repo: RepositoryRef,
    tag: Tag,
    stays: readonly StayAccount[],
    { now, rule }: { readonly now: number; readonly rule: VerifyRule | undefined },
  ): Promise<Pick<TagAccount, "served" | "hold">> {
    const { policy } = this.#options;
    const [current] = stays;
    if (!current) return {};
    if (!policy.governs(repo, tag)) return { served: current.digest };
    const plan = await policy.plan(repo, tag, stays);
    let unverified: Hold | undefined;
    for (const { digest, hold } of plan.candidates) {
      const failure = this.#failure(repo, digest, { stays, rule, now });
      if (failure === undefined) {
        const why = unverified ?? hold;
        return { served: digest, ...(why ? { hold: why } : {}) };
      }
      const text = `${imageName({ ...repo, tag })} is not signed as it has to be: ${failure}`;
      unverified ??= { digest, because: "unverified", text };
    }
    const why = unverified ?? plan.hold;
    return why ? { hold: why } : {};
  }

  /** Why the signatures of a digest do not pass; undefined where they do, or nobody asks for any. */
  #failure(
    { upstream, repository }: RepositoryRef,
    digest: Digest,
    {
      stays,
      rule,
      now,
    }: {
      readonly stays: readonly StayAccount[];
      readonly rule: VerifyRule | undefined;
      readonly now: number;
    },
  ): string | undefined {
    if (rule?.mode !== "enforce") return undefined;
    const record = stays.find((stay) => stay.digest === digest)?.verification;
    if (record?.outcome !== "failed") return undefined;
    for (const { override, pattern } of this.#options.overrides.active(now)) {
      const { kind, isUnverified } = override;
      if (kind !== "release" || !isUnverified || override.digest !== digest) continue;
      if (pattern.matches({ upstream, repository, digest })) return undefined;
    }
    return record.detail;
  }

  #concerning(repo: RepositoryRef, tag: Tag, stays: readonly TagStay[]): readonly Override[] {
    const { upstream, repository } = repo;
    const digests = new Set(stays.map(({ digest }) => digest));
    const isConcerned = ({ pattern }: Override): boolean => {
      const parsed = parseImagePattern(pattern);
      if (!parsed) return false;
      const { digest } = parsed;
      if (digest !== undefined) {
        return digests.has(digest) && parsed.matches({ upstream, repository, digest });
      }
      // Whatever the digest: the pattern names none.
      return parsed.matches({ upstream, repository, tag, digest: ANY_DIGEST });
    };
    return this.#options.overrides.all.filter(isConcerned).slice(0, MAX_TOLD);
  }
}

/** The rule that says who must have signed an image: the first one that matches. */
export function verifyRuleOf(
  rules: readonly PolicyRule[],
  repo: RepositoryRef,
  tag: Tag,
): VerifyRule | undefined {
  return rules.find(({ verify, match }) => verify && match.matches(repo, tag))?.verify;
}

/** Overrides of one tag by itself that hold now: those that decide alone where it points. The latest first. */
export function fixingOverrides(
  { image, overrides }: Pick<TagAccount, "image" | "overrides">,
  now: number,
): readonly Override[] {
  return overrides.filter(
    (override) =>
      (override.kind === "hold" || override.kind === "rollback") &&
      override.pattern === image &&
      isActive(override, now),
  );
}
