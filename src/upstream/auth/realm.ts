import type * as Tldts from "tldts";

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
 * Why a redirect of a token endpoint is not followed; `undefined` if it is. It stays on the endpoint's own
 * host, or leads to one that the owner listed, and never back to http.
 *
 * @returns a predicate for a message, whose subject is the target
 */
export function redirectProblem(
  target: URL,
  from: URL,
  trusted: readonly string[],
  hasCredentials: boolean,
): string | undefined {
  const problem = realmProblem(target, from, trusted, hasCredentials);
  const isListed = trusted.some((host) => host === target.host || host === target.hostname);
  if (problem !== undefined || isListed || target.hostname === from.hostname) return problem;
  return `is not used as a token endpoint: ${from.host} redirects to it, and it is another host. If that is intended, list it in the upstream's trustedRealms`;
}

/**
 * A realm as it is checked before it is asked. An https registry behind a proxy may name its endpoint by
 * http, which then redirects to https: that much may be asked without credentials.
 */
export function overHttps(realm: URL, registry: URL): URL {
  if (realm.protocol !== "http:" || registry.protocol !== "https:") return realm;
  const secure = new URL(realm);
  secure.protocol = "https:";
  return secure;
}

/**
 * Private suffixes of the Public Suffix List, under which strangers own names (github.io), count as
 * suffixes. `null` for an IP address.
 */
function registrableDomain(host: string): string | null {
  // Only for a realm on another host: the list takes some MB. The types of the package are those of what it exports.
  const { getDomain } = require("tldts") as typeof Tldts;
  return getDomain(host, { allowPrivateDomains: true });
}
