/**
 * A `WWW-Authenticate` challenge from a registry (RFC 6750, RFC 7617, distribution's token
 * specification).
 */
export type Challenge =
  | { readonly scheme: "basic" }
  | { readonly scheme: "bearer"; readonly realm: string; readonly service?: string };

const SCHEME = /(?:^|,)\s*(basic|bearer)\s+(?=[a-z])/gi;
const PARAMETER = /([a-z][a-z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/gi;

/**
 * Selects the challenge to respond to: Bearer if the header offers it, otherwise Basic.
 *
 * Ignores the challenge's scope. Registries send placeholders (ghcr.io) or request more than pull
 * access, so the caller builds the scope from the repository name.
 */
export function parseChallenge(header: string | null): Challenge | undefined {
  const text = (header ?? "").slice(0, 4096);
  let basic = /^\s*basic\s*$/i.test(text);
  const starts = [...text.matchAll(SCHEME)];
  for (const [position, start] of starts.entries()) {
    if (start[1]?.toLowerCase() === "basic") {
      basic = true;
      continue;
    }
    const from = start.index + start[0].length;
    const parameters = readParameters(text.slice(from, starts[position + 1]?.index));
    const realm = parameters.get("realm");
    if (!realm) continue;
    const service = parameters.get("service");
    return { scheme: "bearer", realm, ...(service === undefined ? {} : { service }) };
  }
  return basic ? { scheme: "basic" } : undefined;
}

function readParameters(text: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const match of text.matchAll(PARAMETER)) {
    const value = match[2]?.replaceAll(/\\(.)/g, "$1") ?? match[3] ?? "";
    parameters.set((match[1] ?? "").toLowerCase(), value);
  }
  return parameters;
}
