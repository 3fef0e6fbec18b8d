import type { Storage } from "../../cache/retention/storage.ts";
import { Overrides } from "../../cache/tag-policy/overrides.ts";
import { TagPolicies } from "../../cache/tag-policy/tag-policies.ts";
import type { Settings } from "../../config/settings.ts";
import { openVerifier, type VerifierParts } from "./open-verifier.ts";

/** Which of their digests tags have, in a running cache. */
export interface OpenTagPolicy {
  readonly overrides: Overrides;
  readonly tagPolicy: TagPolicies;
  /** Applies changed rules. */
  configure(settings: Pick<Settings, "policies">): void;
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
  const verifier = openVerifier({ settings, records, upstreams: upstreams.all, ...parts });
  const tagPolicy = new TagPolicies({ overrides, verifier });
  const configure = ({ policies = [] }: Pick<Settings, "policies">): void => {
    tagPolicy.configure(policies);
    verifier.prepare(policies.flatMap(({ verify }) => verify ?? []));
  };
  configure(settings);
  return { overrides, tagPolicy, configure };
}
