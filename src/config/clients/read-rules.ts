import type { AccessRule } from "../access/clients-settings.ts";
import { coverAll } from "../access/glob-cover.ts";
import type { ClientsEntry, RuleEntry } from "../clients-schema.ts";
import type { GlobPattern } from "../parsing/glob-pattern.ts";
import { quote } from "../parsing/problems.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { ClientsContext } from "./clients-context.ts";

interface RulesContext extends Pick<ClientsContext, "report" | "location"> {
  /** The names of the registries that there are. */
  readonly upstreams: readonly string[];
  /** What the principals that there are, are called after. */
  readonly sources: readonly string[];
}

/** What the principals of a configuration are called after. */
export function clientSources({
  htpasswdFile,
  tokensFile,
  jwt = [],
  certificates,
}: ClientsEntry): string[] {
  return [
    ...(htpasswdFile === undefined ? [] : ["user"]),
    ...(tokensFile === undefined ? [] : ["token"]),
    ...jwt.map(({ name }) => name),
    ...(certificates ? ["certificate"] : []),
  ];
}

const AT = ["clients", "rules"] as const;

/** Reads the rules of who may pull what. Those that cannot be meant are reported. */
export function readRules(entries: readonly RuleEntry[], context: RulesContext): AccessRule[] {
  const rules = entries.map((entry, index) => {
    // That there is nobody is told elsewhere.
    if (context.sources.length > 0) {
      checkEach([...AT, index, "principals"], entry.principals, context, principalProblem);
    }
    checkEach([...AT, index, "repositories"], entry.repositories, context, repositoryProblem);
    return { ...entry, from: context.location([...AT, index]) };
  });
  for (const [index, rule] of rules.entries()) {
    if (rule.effect !== "allow") continue;
    const other = rules.findIndex(
      ({ effect, principals, repositories }) =>
        effect === "deny" &&
        coverAll(principals, rule.principals) &&
        coverAll(repositories, rule.repositories),
    );
    if (other < 0) continue;
    const message = `can never allow anything: rule ${other + 1} (${rules[other]?.from}) denies all of it, and what a rule denies is denied: remove one of them`;
    context.report([...AT, index], message, "value");
  }
  return rules;
}

function checkEach(
  at: Path,
  patterns: readonly GlobPattern[],
  context: RulesContext,
  problemOf: (text: string, context: RulesContext) => string | undefined,
): void {
  for (const [index, { text }] of patterns.entries()) {
    const problem = problemOf(text, context);
    if (problem !== undefined) context.report([...at, index], `${quote(text)} ${problem}`, "value");
  }
}

/** A literal start of a pattern up to a character; `undefined` if a wildcard comes before it. */
function startOf(text: string, end: ":" | "/"): string | undefined {
  return /^[^*?[{]*$/.test(text.split(end, 1)[0] ?? "") ? text.split(end, 1)[0] : undefined;
}

function principalProblem(text: string, { sources }: RulesContext): string | undefined {
  const source = startOf(text, ":");
  if (source === undefined) return undefined;
  const known = sources.map((name) => `${name}:`).join(", ");
  if (!text.includes(":")) {
    return `does not say where the client is known from: write one of ${known} before it`;
  }
  if (sources.includes(source)) return undefined;
  return `matches nobody, since no client is called ${quote(`${source}:`)} here: principals begin with ${known}`;
}

function repositoryProblem(text: string, { upstreams }: RulesContext): string | undefined {
  const host = startOf(text, "/");
  const rest = text.slice(text.indexOf("/") + 1);
  if (text.includes("/") && /[:@]/.test(rest)) {
    return "names a tag or a digest: rules apply to whole repositories, since any image is also available by its digest";
  }
  if (host === undefined) return undefined;
  if (!text.includes("/")) {
    const example = upstreams.some((name) => name === host) ? host : (upstreams[0] ?? "ghcr.io");
    return `names no repository: write it with its registry, such as ${example}/**`;
  }
  if (upstreams.some((name) => name === host)) return undefined;
  return `matches nothing, since ${quote(host)} is no registry of this cache: use one of ${upstreams.join(", ")}`;
}
