import { getDomain } from "tldts";

/**
 * Why a token endpoint is not asked on behalf of a registry; `undefined` where it is.
 *
 * The realm comes out of an answer, and whoever writes that answer could have credentials sent to
 * themselves, or requests to a place that only we can reach (CVE-2026-33540, CVE-2026-48978). So it
 * must be on the registry's own registrable domain or be listed by the owner, with credentials or
 * without: one rule, with nothing to find out by leaving credentials away.
 *
 * @param registry where the challenge came from
 * @param trusted hosts, each with or without a port; without one, any port of the host is meant
 */
export function realmProblem(
  realm: URL,
  registry: URL,
  trusted: readonly string[],
): string | undefined {
  if (
    realm.protocol !== "https:" &&
    !(realm.protocol === "http:" && registry.protocol === "http:")
  ) {
    return `is not asked for a token over ${realm.protocol.slice(0, -1)}: ${registry.host} itself is reached over ${registry.protocol.slice(0, -1)}`;
  }
  if (trusted.some((host) => host === realm.host || host === realm.hostname)) return undefined;
  if (realm.hostname === registry.hostname) return undefined;
  const domain = registrableDomain(realm.hostname);
  if (domain !== null && domain === registrableDomain(registry.hostname)) return undefined;
  return `is not asked for a token: it is on another domain than ${registry.host}. List it in the upstream's trustedRealms if it is meant`;
}

/** Domains under which strangers have names of their own (github.io) count as suffixes; addresses have none. */
function registrableDomain(host: string): string | null {
  return getDomain(host, { allowPrivateDomains: true });
}
