import { principalProblem } from "./principal-text.ts";

/** The kinds of subject alternative names that name a client, the best one first. */
const KINDS = ["URI:", "DNS:", "email:"] as const;

/**
 * What a certificate calls its client: the first name that is a URI (as of SPIFFE), else a DNS name, else a
 * mail address.
 *
 * @param names as `URI:spiffe://cluster/ns/a`, `DNS:node-7`
 */
export function certificateName(names: readonly string[]): string | undefined {
  for (const kind of KINDS) {
    const found = names.find((name) => name.startsWith(kind))?.slice(kind.length);
    if (found !== undefined) return principalProblem(found) === undefined ? found : undefined;
  }
  return undefined;
}
