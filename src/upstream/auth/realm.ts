import { getDomain } from "tldts";

/**
 * Why no token is requested from a realm; `undefined` if one is.
 *
 * The realm (the token endpoint's URL) comes from a response. Whoever controls that response could have
 * credentials sent to their own host, or requests to a host that only this machine can reach
 * (CVE-2026-33540, CVE-2026-48978). So the realm must be on the registry's own registrable domain, or be
 * listed by the owner, with and without credentials. On another port of the registry's host may be a
 * program of somebody else: it gets no credentials unless it is listed. A request without them tells it
 * nothing, and it can only give a token that the registry accepts.
 *
 * @param registry the registry that sent the challenge
 * @param trusted hosts, each with or without a port; without one, any port of the host is trusted
 * @param hasCredentials whether the token request would carry credentials
 * @returns a predicate for a message, whose subject is the realm: `is not used as a token endpoint: …`
 */
export function realmProblem(
  realm: URL,
  registry: URL,
  trusted: readonly string[],
  hasCredentials: boolean,
): string | undefined {
  if (
    realm.protocol !== "https:" &&
    !(realm.protocol === "http:" && registry.protocol === "http:")
  ) {
    return `is not used as a token endpoint over ${realm.protocol.slice(0, -1)}: ${registry.host} itself is reached over ${registry.protocol.slice(0, -1)}`;
  }
  if (trusted.some((host) => host === realm.host || host === realm.hostname)) return undefined;
  if (realm.hostname === registry.hostname) {
    // Both are empty for the default ports of http and https, which are one server's.
    if (realm.port === registry.port || !hasCredentials) return undefined;
    return `gets no credentials, and is not used as a token endpoint: it is on another port than ${registry.host}. If that is intended, list ${realm.host} in the upstream's trustedRealms`;
  }
  const domain = registrableDomain(realm.hostname);
  if (domain !== null && domain === registrableDomain(registry.hostname)) return undefined;
  return `is not used as a token endpoint: it is on another domain than ${registry.host}. If that is intended, list it in the upstream's trustedRealms`;
}

/**
 * Private suffixes of the Public Suffix List, under which strangers own names (github.io), count as
 * suffixes. `null` for an IP address.
 */
function registrableDomain(host: string): string | null {
  return getDomain(host, { allowPrivateDomains: true });
}
