import type { AccessRule } from "../../config/access/clients-settings.ts";
import { matchesAny } from "../../config/parsing/glob-pattern.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Principal } from "../client-access.ts";

/** What the rules say of a principal and a repository. */
export interface Decision {
  readonly allowed: boolean;
  /** The rule that decides, and its place among all; absent if none matches, so that it is refused. */
  readonly rule?: AccessRule & { readonly index: number };
  /** In words, with the place in the file. */
  readonly why: string;
}

/** What any rule denies is denied. What none allows is refused. */
export function decide(
  rules: readonly AccessRule[],
  principal: Principal,
  { upstream, repository }: RepositoryRef,
): Decision {
  const name = `${upstream}/${repository}`;
  let allowing: number | undefined;
  for (const [index, rule] of rules.entries()) {
    // The first of those that allow is as good as any other.
    if (rule.effect === "allow" && allowing !== undefined) continue;
    if (!matchesAny(rule.principals, principal.name) || !matchesAny(rule.repositories, name)) {
      continue;
    }
    if (rule.effect === "deny") {
      return {
        allowed: false,
        rule: { ...rule, index },
        why: `rule ${index + 1} (${rule.from}) denies it`,
      };
    }
    allowing = index;
  }
  const rule = allowing === undefined ? undefined : rules[allowing];
  if (allowing === undefined || !rule) return { allowed: false, why: "no rule allows it" };
  return {
    allowed: true,
    rule: { ...rule, index: allowing },
    why: `rule ${allowing + 1} (${rule.from}) allows it`,
  };
}
