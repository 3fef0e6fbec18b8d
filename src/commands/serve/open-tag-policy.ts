import type { Storage } from "../../cache/retention/storage.ts";
import { Overrides } from "../../cache/tag-policy/overrides.ts";
import { TagPolicies } from "../../cache/tag-policy/tag-policies.ts";
import type { VerifyRule } from "../../config/policies/policy-settings.ts";
import type { Settings } from "../../config/settings.ts";
import { type OpenVerifier, openVerifier, type VerifierParts } from "./open-verifier.ts";

/** Which of their digests tags have, in a running cache. */
export interface OpenTagPolicy {
  readonly overrides: Overrides;
  readonly tagPolicy: TagPolicies;
  /** Loads what rules need to verify signatures, or what is old of it, now that pulls are served: no start waits for it. */
  prepare(): void;
  /** Applies changed rules. */
  configure(settings: Pick<Settings, "policies">): void;
  /** Verifies by rules that do not hold. */
  readonly trialVerifier: OpenVerifier["forTrial"];
}

export interface TagPolicyParts extends Omit<VerifierParts, "records" | "upstreams"> {
  readonly upstreams: { readonly all: VerifierParts["upstreams"] };
  readonly settings: Pick<Settings, "dataDirectory" | "policies">;
  readonly storage: Pick<Storage, "overrides" | "metadata">;
}

/** @throws Fault if the overrides cannot be read: without them, tags would be what operators do not want */
export async function openTagPolicy({
  settings,
  storage,
  upstreams,
  ...parts
}: TagPolicyParts): Promise<OpenTagPolicy> {
  const overrides = await Overrides.open(storage.overrides);
  const { verifications: records } = storage.metadata;
  const { verifier, forTrial: trialVerifier } = openVerifier({
    settings,
    records,
    upstreams: upstreams.all,
    ...parts,
  });
  const tagPolicy = new TagPolicies({ overrides, verifier });
  let rules: readonly VerifyRule[] = [];
  let isServing = false;
  const configure = ({ policies = [] }: Pick<Settings, "policies">): void => {
    tagPolicy.configure(policies);
    rules = policies.flatMap(({ verify }) => verify ?? []);
    if (isServing) verifier.prepare(rules);
  };
  const prepare = (): void => {
    isServing = true;
    verifier.prepare(rules);
  };
  configure(settings);
  return { overrides, tagPolicy, configure, prepare, trialVerifier };
}
