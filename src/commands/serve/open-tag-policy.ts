import { Overrides } from "../../cache/tag-policy/overrides.ts";
import { TagPolicies } from "../../cache/tag-policy/tag-policies.ts";
import type { Settings } from "../../config/settings.ts";
import type { OverrideStore } from "../../store/override-store.ts";

/** Which of their digests tags have, in a running cache. */
export interface OpenTagPolicy {
  readonly overrides: Overrides;
  readonly tagPolicy: TagPolicies;
  /** Applies changed rules. */
  configure(settings: Pick<Settings, "policies">): void;
}

/** @throws Fault if the overrides cannot be read: without them, tags would be what operators do not want */
export async function openTagPolicy(
  settings: Pick<Settings, "policies">,
  store: OverrideStore,
): Promise<OpenTagPolicy> {
  const overrides = await Overrides.open(store);
  const tagPolicy = new TagPolicies({ overrides });
  const configure = (changed: Pick<Settings, "policies">): void =>
    tagPolicy.configure(changed.policies);
  configure(settings);
  return { overrides, tagPolicy, configure };
}
