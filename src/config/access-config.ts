import type { UpstreamName } from "../oci/names.ts";
import type { AccessSettings } from "./access/access-settings.ts";
import type { AccessRule } from "./access/clients-settings.ts";
import { clientSources, readRules } from "./clients/read-rules.ts";
import { ConfigFile } from "./config-file.ts";
import { ConfigError, type Problem, sortProblems } from "./parsing/problems.ts";
import type { GlobPattern } from "./parsing/glob-pattern.ts";
import { type ReadText, readText } from "./parsing/read-text.ts";
import type { Path } from "./parsing/yaml-source.ts";
import { DEFAULT_UPSTREAMS } from "./settings.ts";
import type { UpstreamEntry } from "./upstream-schema.ts";
import { readAccess } from "./upstreams/read-access.ts";
import { namedUpstreams } from "./upstreams/read-upstreams.ts";

/** Who may pull from an upstream, and which of its repositories are served at all. */
export interface UpstreamAccess {
  /** Absent: whoever reaches the cache. */
  readonly access?: AccessSettings;
  readonly allow?: readonly GlobPattern[];
  readonly deny?: readonly GlobPattern[];
  /** Where the upstream is written (`file:line:column`). */
  readonly from?: string;
}

/** Who may pull what, as a configuration says it. */
export interface AccessConfig {
  readonly upstreams: ReadonlyMap<UpstreamName, UpstreamAccess>;
  readonly rules: readonly AccessRule[];
  /** What principals of known clients are called after: `user`, `token`. */
  readonly sources: readonly string[];
}

/**
 * Reads who may pull what, and nothing else: no file that the configuration names has to be here, as where
 * rules are tested before they are deployed.
 *
 * @param origin the flag or variable with the path
 * @throws ConfigError
 */
export function readAccessConfig(
  name: string,
  origin: string,
  readFile: ReadText = readText,
): AccessConfig {
  const file = new ConfigFile(name, origin, readFile);
  const problems: Problem[] = [];
  const context = {
    location: (at: Path) => file.location(at),
    report: (at: Path, message: string, subject: "key" | "value"): void => {
      problems.push(file.problem(at, message, subject));
    },
  };
  const { clients, upstreams: written } = file.settings;
  const entries: Readonly<Record<string, UpstreamEntry | null>> =
    written ?? Object.fromEntries(DEFAULT_UPSTREAMS.map((one) => [one, null]));
  const upstreams = new Map<UpstreamName, UpstreamAccess>();
  for (const { name: upstream, at, entry } of namedUpstreams(entries, context)) {
    const access = readAccess(at, entry, context);
    upstreams.set(upstream, {
      ...(access ? { access } : {}),
      ...(entry.allow ? { allow: entry.allow } : {}),
      ...(entry.deny ? { deny: entry.deny } : {}),
      ...(written ? { from: file.location(at) } : {}),
    });
  }
  const sources = clients ? clientSources(clients) : [];
  const rules = readRules(clients?.rules ?? [], {
    ...context,
    sources,
    upstreams: [...upstreams.keys()],
  });
  if (problems.length > 0) throw new ConfigError(sortProblems(problems));
  return { upstreams, rules, sources };
}
