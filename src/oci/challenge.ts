/**
 * A `WWW-Authenticate` challenge from a registry (RFC 6750, RFC 7617, distribution's token
 * specification).
 */
export type Challenge = { readonly scheme: "basic" } | BearerChallenge;

export interface BearerChallenge {
  readonly scheme: "bearer";
  readonly realm: string;
  readonly service?: string;
}

/** A scheme at the beginning of a challenge. Quoted strings are matched first, so that none is inside one. */
const SCHEME = /"(?:[^"\\]|\\.)*"|(?:^|,)\s*(basic|bearer)(?=\s+[a-z]|\s*(?:,|$))/gi;
const PARAMETER = /([a-z][a-z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/gi;

/**
 * The challenges of a header that can be responded to, in the order in which to try them: Bearer, as the
 * header has them, then Basic.
 *
 * Ignores the challenges' scopes. Registries send placeholders (ghcr.io) or request more than pull
 * access, so the caller builds the scope from the repository name.
 */
export function parseChallenges(header: string | null): readonly Challenge[] {
  const text = (header ?? "").slice(0, 4096);
  const starts = [...text.matchAll(SCHEME)].filter(([, scheme]) => scheme !== undefined);
  const challenges: Challenge[] = [];
  for (const [position, start] of starts.entries()) {
    if (start[1]?.toLowerCase() === "basic") continue;
    const from = start.index + start[0].length;
    const parameters = readParameters(text.slice(from, starts[position + 1]?.index));
    const realm = parameters.get("realm");
    if (!realm) continue;
    const service = parameters.get("service");
    challenges.push({ scheme: "bearer", realm, ...(service === undefined ? {} : { service }) });
  }
  const hasBasic = starts.some(([, scheme]) => scheme?.toLowerCase() === "basic");
  return hasBasic ? [...challenges, { scheme: "basic" }] : challenges;
}

function readParameters(text: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const match of text.matchAll(PARAMETER)) {
    const value = match[2]?.replaceAll(/\\(.)/g, "$1") ?? match[3] ?? "";
    const name = (match[1] ?? "").toLowerCase();
    // The first one: after it, a challenge of another scheme may begin.
    if (!parameters.has(name)) parameters.set(name, value);
  }
  return parameters;
}
