import { quote } from "../parsing/problems.ts";
import type { PolicyEntry } from "../policies/policies-schema.ts";
import type { AgeRule, PolicyMatch, PolicyRule, VerifyRule } from "../policies/policy-settings.ts";
import type { FileContext } from "../upstreams/certificates.ts";
import { readVerify } from "./read-verify.ts";

export interface PoliciesContext extends FileContext {
  /** The names of the registries that there are. */
  readonly upstreams: readonly string[];
}

/** What says nothing without `minAge`. */
const OF_AGE = ["first", "digests", "lists"] as const;

/** Reads the rules of which digests tags may have. Those that cannot be meant are reported. */
export function readPolicies(
  entries: readonly PolicyEntry[] | undefined,
  context: PoliciesContext,
): PolicyRule[] {
  return (entries ?? []).map((entry, index) => {
    const at = ["policies", index] as const;
    const problem = registryProblem(entry.match.text, context.upstreams);
    if (problem !== undefined) {
      context.report([...at, "match"], `${quote(entry.match.text)} ${problem}`, "value");
    }
    const age = ageRule(entry);
    const alone = age ? [] : OF_AGE.filter((key) => entry[key] !== undefined);
    for (const key of alone) {
      context.report([...at, key], "needs minAge: write how old a digest has to be", "key");
    }
    const verify = entry.verify && readVerify([...at, "verify"], entry.verify, context);
    if (!age && !verify && alone.length === 0) {
      context.report(at, "asks for nothing: write minAge, such as minAge: 3d, or verify", "value");
    }
    return ruleOf(entry.match, age, verify);
  });
}

function ruleOf(match: PolicyMatch, age?: AgeRule, verify?: VerifyRule): PolicyRule {
  return { match, ...(age ? { age } : {}), ...(verify ? { verify } : {}) };
}

function ageRule({ minAge, first, digests, lists }: PolicyEntry): AgeRule | undefined {
  if (minAge === undefined) return undefined;
  return { minAge, first: first ?? "allow", digests: digests ?? "pass", lists: lists ?? "show" };
}

/** What is wrong with the registry that a pattern begins with, if that is no wildcard. */
function registryProblem(text: string, upstreams: readonly string[]): string | undefined {
  const host = text.split("/", 1)[0] ?? "";
  if (/[*?[{]/.test(host)) return undefined;
  const known = upstreams.join(", ");
  if (!upstreams.includes(host)) {
    return `matches nothing, since ${quote(host)} is no registry of this cache: begin with one of ${known}`;
  }
  if (text.includes("/")) return undefined;
  return `names no repository: write it with its registry, such as ${host}/**`;
}
