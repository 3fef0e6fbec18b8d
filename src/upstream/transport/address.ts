import { lookup } from "node:dns/promises";
import ipaddr from "ipaddr.js";
import { LRUCache } from "lru-cache";
import { Fault, isUnsent } from "../../oci/fault.ts";
import { localLimitFault, lookupCause } from "./local-limits.ts";

/**
 * Resolves a host name to all of its addresses; rejects if it has none. `refresh` bypasses the
 * resolver's cache, for a host that did not respond at the cached addresses.
 */
export type Resolver = (host: string, refresh?: boolean) => Promise<readonly string[]>;

/**
 * An address that was checked after DNS resolution. The request is sent to this address, and the name is
 * not resolved a second time: that defeats DNS rebinding.
 */
export interface CheckedAddress {
  /** In numeric form, IPv6 without brackets. */
  readonly ip: string;
  readonly family: 4 | 6;
}

/** Which addresses a request may be sent to. */
export interface AddressPolicy {
  /** For messages. */
  readonly upstream: string;
  /** Whether private addresses are allowed: see `UpstreamSettings.allowPrivate`. */
  readonly allowPrivate: boolean;
  /**
   * The hostname of the upstream's configured URL, if one of its responses (a redirect or a token
   * realm) led to this host; `undefined` if the owner configured the host.
   *
   * Link-local addresses are then refused, because cloud metadata services are there (169.254.169.254)
   * and only the owner may point to them. Loopback addresses are refused unless the registry is itself on
   * a loopback address.
   */
  readonly redirectedFrom?: string | undefined;
  readonly resolver: Resolver;
  readonly refresh?: boolean;
}

/**
 * Resolves a host to the addresses that may be dialled, in the order of DNS. Refused ones are left out.
 *
 * @param host a URL's `hostname`: a name, an IPv4 address, or an IPv6 address in brackets
 * @throws Fault `address-refused` if all are refused, `upstream-unreachable` if there are none, `local-limit`
 */
export async function resolve(host: string, policy: AddressPolicy): Promise<CheckedAddress[]> {
  const found = isIpLiteral(host) ? [withoutBrackets(host)] : await lookUp(host, policy);
  const forbidden = await forbiddenKinds(policy, found);
  const allowed: CheckedAddress[] = [];
  let refused: string | undefined;
  for (const text of found) {
    const { reach, kind, checked } = classify(text);
    const isForbidden = forbidden.includes(kind);
    const isPrivateAllowed = policy.allowPrivate && !isForbidden;
    if (checked && (reach === "public" || (reach === "private" && isPrivateAllowed))) {
      allowed.push(checked);
    } else {
      refused ??= refusedReason(text, isForbidden ? "never" : reach, kind);
    }
  }
  if (allowed.length > 0) return allowed;
  throw new Fault({
    kind: "address-refused",
    upstream: policy.upstream,
    host,
    reason: refused ?? "has no address",
  });
}

/** The kinds of private addresses that are refused here even with `allowPrivate`. */
async function forbiddenKinds(
  { redirectedFrom, resolver }: AddressPolicy,
  found: readonly string[],
): Promise<readonly string[]> {
  if (redirectedFrom === undefined) return [];
  const isLoopback = (text: string): boolean => classify(text).kind === LOOPBACK;
  if (!found.some(isLoopback)) return [LINK_LOCAL];
  const own = isIpLiteral(redirectedFrom)
    ? [withoutBrackets(redirectedFrom)]
    : await resolver(redirectedFrom).catch(() => []);
  return own.some(isLoopback) ? [LINK_LOCAL] : [LINK_LOCAL, LOOPBACK];
}

/**
 * Resolves a host again that did not respond at its cached addresses. Returns only addresses that were
 * not tried before; none if DNS has no new ones or does not respond.
 *
 * @throws Fault `address-refused` if all of its addresses are refused now
 */
export async function addressesAfterRefresh(
  host: string,
  policy: AddressPolicy,
  tried: readonly CheckedAddress[],
): Promise<CheckedAddress[]> {
  if (isIpLiteral(host)) return [];
  try {
    const current = await resolve(host, { ...policy, refresh: true });
    return current.filter(({ ip }) => tried.every((address) => address.ip !== ip));
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (error.detail.kind === "upstream-unreachable" || isUnsent(error)) return [];
    throw error;
  }
}

/** The same URL with the address in place of the host name, and without user, password and fragment. */
export function withAddress(url: URL, { ip, family }: CheckedAddress): URL {
  const dialled = new URL(url);
  dialled.username = "";
  dialled.password = "";
  dialled.hash = "";
  dialled.hostname = family === 6 ? `[${ip}]` : ip;
  return dialled;
}

/** Whether a URL's `hostname` is an IP address, and not a name. */
export function isIpLiteral(host: string): boolean {
  return ipaddr.isValid(withoutBrackets(host));
}

function withoutBrackets(host: string): string {
  return host.replaceAll(/[[\]]/g, "");
}

async function lookUp(host: string, policy: AddressPolicy): Promise<readonly string[]> {
  try {
    const found = await policy.resolver(host, policy.refresh);
    if (found.length > 0) return found;
  } catch (error) {
    const cause = await lookupCause(error);
    const local = localLimitFault(policy.upstream, cause);
    if (local) throw local;
    const code =
      cause instanceof Error && "code" in cause
        ? String(cause.code).replace(/^DNS_/, "")
        : "no code";
    const reason =
      code === "ENOTFOUND" || code === "ENODATA"
        ? `DNS has no address for ${host}`
        : `the DNS lookup of ${host} failed (${code})`;
    throw new Fault({ kind: "upstream-unreachable", upstream: policy.upstream, reason }, { cause });
  }
  throw new Fault({
    kind: "upstream-unreachable",
    upstream: policy.upstream,
    reason: `DNS has no address for ${host}`,
  });
}

function refusedReason(text: string, reach: Reach, kind: string): string {
  const reason = `is ${text}, a ${kind} address, which is not dialled`;
  return reach === "private" ? `${reason} unless the upstream has allowPrivate: true` : reason;
}

/**
 * `public`: globally reachable. `private`: not globally reachable by the IANA special-purpose address
 * registries (RFC 6890): RFC 1918, loopback, link-local, unique local, carrier-grade NAT and the like;
 * allowed if the owner says so. `never`: no server can be there.
 */
type Reach = "public" | "private" | "never";

interface Classified {
  readonly reach: Reach;
  /** For messages: `loopback`, `link-local`. */
  readonly kind: string;
  readonly checked?: CheckedAddress;
}

const NEVER = new Set(["unspecified", "broadcast", "multicast", "discard"]);

const LINK_LOCAL = "link-local";
const LOOPBACK = "loopback";

const KINDS: Readonly<Record<string, string>> = {
  linkLocal: LINK_LOCAL,
  carrierGradeNat: "carrier-grade NAT",
  uniqueLocal: "unique local",
  deprecatedSiteLocal: "site-local",
};

/**
 * Classifies an address by where it is reachable from. An IPv6 address that embeds IPv4 addresses is
 * classified by the least reachable of those.
 */
export function classify(text: string): Classified {
  if (!ipaddr.isValid(text)) return { reach: "never", kind: "malformed" };
  const address = ipaddr.parse(text);
  const checked: CheckedAddress = {
    ip: address.toString(),
    family: address instanceof ipaddr.IPv4 ? 4 : 6,
  };
  if (address instanceof ipaddr.IPv4) return { ...classifyRange(address.range()), checked };
  const embedded = embeddedIpv4(address);
  if (embedded.length > 0) {
    const classified = embedded.map((ipv4) => classifyRange(ipv4.range()));
    const worst =
      classified.find(({ reach }) => reach === "never") ??
      classified.find(({ reach }) => reach === "private") ??
      classifyRange("unicast");
    return { ...worst, checked };
  }
  const range = address.range();
  // IANA has assigned global unicast addresses from 2000::/3 only. `range` also returns unicast for
  // addresses such as ::127.0.0.1, which are not.
  const isAssigned = ((address.parts[0] ?? 0) & 0xe000) === 0x2000;
  return { ...classifyRange(range === "unicast" && !isAssigned ? "reserved" : range), checked };
}

function classifyRange(range: string): { reach: Reach; kind: string } {
  if (range === "unicast") return { reach: "public", kind: "public" };
  return { reach: NEVER.has(range) ? "never" : "private", kind: KINDS[range] ?? range };
}

/** The IPv4 addresses that an IPv6 address embeds, to which a translator or a tunnel would lead. */
function embeddedIpv4(address: ipaddr.IPv6): ipaddr.IPv4[] {
  const { parts } = address;
  const ipv4At = (index: number, mask = 0): ipaddr.IPv4 => {
    const [high, low] = [(parts[index] ?? 0) ^ mask, (parts[index + 1] ?? 0) ^ mask];
    return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);
  };
  switch (address.range()) {
    case "ipv4Mapped": // ::ffff:a.b.c.d, RFC 4291 section 2.5.5.2
    case "rfc6145": // ::ffff:0:a.b.c.d, RFC 6145
      return [ipv4At(6)];
    case "rfc6052":
      // NAT64, 64:ff9b::a.b.c.d (RFC 6052). The local-use prefix 64:ff9b:1::/48 (RFC 8215) has no fixed
      // format and stays private.
      return parts[2] === 0 ? [ipv4At(6)] : [];
    case "6to4": // 2002:aabb:ccdd::, RFC 3056
      return [ipv4At(1)];
    case "teredo": // The server's address, and the client's with its bits inverted: RFC 4380 section 4.
      return [ipv4At(2), ipv4At(6, 0xffff)];
    default:
      return [];
  }
}

/**
 * The system's resolver takes a thread for file I/O until it has an answer, so names whose servers hang could stop
 * every file.
 */
const MAX_SYSTEM_LOOKUPS = Math.max(
  1,
  Math.floor(Number(process.env["UV_THREADPOOL_SIZE"]) / 4) || 1,
);

/**
 * The system's resolver, or while many of its lookups run, c-ares, which takes no thread and knows /etc/hosts and DNS
 * only. Results are cached for ten seconds; concurrent lookups of a name share one.
 */
export function systemResolver(maxSystemLookups = MAX_SYSTEM_LOOKUPS): Resolver {
  let systemLookups = 0;
  const addressesOf = async (host: string): Promise<readonly string[]> => {
    if (systemLookups >= maxSystemLookups) {
      const found = await Bun.dns.lookup(host, { backend: "c-ares" });
      return found.map(({ address }) => address);
    }
    systemLookups += 1;
    try {
      return (await lookup(host, { all: true })).map(({ address }) => address);
    } finally {
      systemLookups -= 1;
    }
  };
  const cache = new LRUCache<string, Promise<readonly string[]>>({ max: 1024, ttl: 10_000 });
  const settled = new WeakSet<Promise<unknown>>();
  return (host, refresh = false) => {
    const cached = cache.get(host);
    if (cached && !(refresh && settled.has(cached))) return cached;
    const running = addressesOf(host);
    cache.set(host, running);
    const onFailure = (): void => {
      // Failures are not cached: the next request looks the name up again.
      if (cache.peek(host) === running) cache.delete(host);
    };
    running.then(() => settled.add(running), onFailure);
    return running;
  };
}
