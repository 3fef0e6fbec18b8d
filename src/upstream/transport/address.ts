import { lookup } from "node:dns/promises";
import ipaddr from "ipaddr.js";
import { LRUCache } from "lru-cache";
import { Fault } from "../../oci/fault.ts";

/**
 * Every address of a host name; rejects where it has none. `afresh` where those that it gave did not
 * answer. Replaced in tests and by a resolver of one's own.
 */
export type Resolver = (host: string, afresh?: boolean) => Promise<readonly string[]>;

/** An address that was looked at after DNS. Dialling it, and not the name again, leaves DNS rebinding nothing to gain. */
export interface CheckedAddress {
  /** As a number, IPv6 without brackets. */
  readonly ip: string;
  readonly family: 4 | 6;
}

export interface AddressPolicy {
  /** For messages. */
  readonly upstream: string;
  /** Whether the owner put this upstream inside: see `UpstreamSettings.allowPrivate`. */
  readonly allowPrivate: boolean;
  /**
   * Set where an answer led to the host: where that answer's registry is configured to be. A cloud's
   * secrets are at link-local addresses, and no registry leads there: only its owner may have put it
   * there itself. To this machine leads only a registry that is on it.
   */
  readonly ledFrom?: string | undefined;
  readonly resolver: Resolver;
  readonly afresh?: boolean;
}

/**
 * The addresses of a host that may be dialled, in DNS's order. Of a host with addresses outside and
 * inside, only those outside are.
 *
 * @param host a URL's `hostname`: a name, an IPv4 address, or an IPv6 address in brackets
 * @throws Fault `address-refused` where all are inside, `upstream-unreachable` where there are none
 */
export async function resolve(host: string, policy: AddressPolicy): Promise<CheckedAddress[]> {
  const found = isLiteral(host) ? [bare(host)] : await lookUp(host, policy);
  const closed = await closedKinds(policy, found);
  const allowed: CheckedAddress[] = [];
  let refused: string | undefined;
  for (const text of found) {
    const { reach, kind, checked } = classify(text);
    const isClosed = closed.includes(kind);
    const mayBeInside = policy.allowPrivate && !isClosed;
    if (checked && (reach === "public" || (reach === "inside" && mayBeInside))) {
      allowed.push(checked);
    } else {
      refused ??= refusal(text, isClosed ? "never" : reach, kind);
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

/** Kinds of addresses that the owner may allow in general, and not here. */
async function closedKinds(
  { ledFrom, resolver }: AddressPolicy,
  found: readonly string[],
): Promise<readonly string[]> {
  if (ledFrom === undefined) return [];
  const isLoopback = (text: string): boolean => classify(text).kind === LOOPBACK;
  if (!found.some(isLoopback)) return [LINK_LOCAL];
  const own = isLiteral(ledFrom) ? [bare(ledFrom)] : await resolver(ledFrom).catch(() => []);
  return own.some(isLoopback) ? [LINK_LOCAL] : [LINK_LOCAL, LOOPBACK];
}

/**
 * Where a host is now that did not answer where it was; empty where DNS says nothing new.
 *
 * @throws Fault `address-refused` where it is inside now
 */
export async function newAddresses(
  host: string,
  policy: AddressPolicy,
  before: readonly CheckedAddress[],
): Promise<CheckedAddress[]> {
  if (isLiteral(host)) return [];
  try {
    const now = await resolve(host, { ...policy, afresh: true });
    return now.filter(({ ip }) => before.every((one) => one.ip !== ip));
  } catch (error) {
    if (error instanceof Fault && error.detail.kind === "upstream-unreachable") return [];
    throw error;
  }
}

/** The same URL with a number for its host. */
export function withAddress(url: URL, { ip, family }: CheckedAddress): URL {
  const dialled = new URL(url);
  dialled.username = "";
  dialled.password = "";
  dialled.hash = "";
  dialled.hostname = family === 6 ? `[${ip}]` : ip;
  return dialled;
}

/** Whether a URL's `hostname` is an address already. */
export function isLiteral(host: string): boolean {
  return ipaddr.isValid(bare(host));
}

function bare(host: string): string {
  return host.replaceAll(/[[\]]/g, "");
}

async function lookUp(host: string, policy: AddressPolicy): Promise<readonly string[]> {
  try {
    const found = await policy.resolver(host, policy.afresh);
    if (found.length > 0) return found;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "no code";
    const reason =
      code === "ENOTFOUND" || code === "ENODATA"
        ? `DNS has no address for ${host}`
        : `looking up ${host} in DNS failed (${code})`;
    throw new Fault({ kind: "upstream-unreachable", upstream: policy.upstream, reason }, { cause });
  }
  throw new Fault({
    kind: "upstream-unreachable",
    upstream: policy.upstream,
    reason: `DNS has no address for ${host}`,
  });
}

function refusal(text: string, reach: Reach, kind: string): string {
  const what = `is ${text}, a ${kind} address, which is not dialled`;
  return reach === "inside" ? `${what} unless the upstream has allowPrivate: true` : what;
}

/** `inside`: only where the owner says so. `never`: nothing that serves images can be there. */
type Reach = "public" | "inside" | "never";

interface Classified {
  readonly reach: Reach;
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

/** What an address leads to. Forms that carry an IPv4 address are judged by that one as well. */
export function classify(text: string): Classified {
  if (!ipaddr.isValid(text)) return { reach: "never", kind: "malformed" };
  const address = ipaddr.parse(text);
  const checked: CheckedAddress = {
    ip: address.toString(),
    family: address instanceof ipaddr.IPv4 ? 4 : 6,
  };
  if (address instanceof ipaddr.IPv4) return { ...judge(address.range()), checked };
  const inner = innerAddresses(address);
  if (inner.length > 0) {
    const judged = inner.map((one) => judge(one.range()));
    const worst =
      judged.find(({ reach }) => reach === "never") ??
      judged.find(({ reach }) => reach === "inside") ??
      judge("unicast");
    return { ...worst, checked };
  }
  const range = address.range();
  // Outside 2000::/3 nothing is assigned to hosts of the Internet (IANA), so that ::127.0.0.1 and
  // what else looks like unicast there is not.
  const assigned = ((address.parts[0] ?? 0) & 0xe000) === 0x2000;
  return { ...judge(range === "unicast" && !assigned ? "reserved" : range), checked };
}

function judge(range: string): { reach: Reach; kind: string } {
  if (range === "unicast") return { reach: "public", kind: "public" };
  return { reach: NEVER.has(range) ? "never" : "inside", kind: KINDS[range] ?? range };
}

/** IPv4 addresses that an IPv6 one stands for, where a translator or tunnel would lead to them. */
function innerAddresses(address: ipaddr.IPv6): ipaddr.IPv4[] {
  const { parts } = address;
  const at = (index: number, mask = 0): ipaddr.IPv4 => {
    const [high, low] = [(parts[index] ?? 0) ^ mask, (parts[index + 1] ?? 0) ^ mask];
    return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);
  };
  switch (address.range()) {
    case "ipv4Mapped": // ::ffff:a.b.c.d, RFC 4291 section 2.5.5.2
    case "rfc6145": // ::ffff:0:a.b.c.d, RFC 6145
      return [at(6)];
    case "rfc6052":
      // NAT64, 64:ff9b::a.b.c.d (RFC 6052). The local 64:ff9b:1::/48 (RFC 8215) has no fixed form
      // and stays inside.
      return parts[2] === 0 ? [at(6)] : [];
    case "6to4": // 2002:aabb:ccdd::, RFC 3056
      return [at(1)];
    case "teredo": // The server's address, and the client's with its bits inverted: RFC 4380 section 4.
      return [at(2), at(6, 0xffff)];
    default:
      return [];
  }
}

/** The system's resolver. Answers are kept for ten seconds, and one look-up serves all who wait for it. */
export function systemResolver(): Resolver {
  const known = new LRUCache<string, Promise<readonly string[]>>({ max: 1024, ttl: 10_000 });
  const answered = new WeakSet<Promise<unknown>>();
  return (host, afresh = false) => {
    const running = known.get(host);
    if (running && !(afresh && answered.has(running))) return running;
    const asked = lookup(host, { all: true }).then((found) => found.map(({ address }) => address));
    known.set(host, asked);
    const failed = (): void => {
      // A failure is not kept: the next request asks again.
      if (known.peek(host) === asked) known.delete(host);
    };
    asked.then(() => answered.add(asked), failed);
    return asked;
  };
}
