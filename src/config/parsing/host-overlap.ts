import ipaddr from "ipaddr.js";
import type { Address } from "./address.ts";

type Family = "ipv4" | "ipv6";

/** Whether only this machine can connect to a host: 127.0.0.0/8, ::1 or localhost. */
export function isLoopbackHost(host: string): boolean {
  return parseIp(host)?.range() === "loopback";
}

/** Whether a host stands for all addresses of this machine: 0.0.0.0 or ::. */
export function isWildcardHost(host: string): boolean {
  return parseIp(host)?.range() === "unspecified";
}

/** Whether two hosts are the same address, however it is written. */
export function isSameHost(one: string, other: string): boolean {
  return (
    one === other || (parseIp(one)?.toString() ?? one) === (parseIp(other)?.toString() ?? other)
  );
}

/**
 * Whether no two sockets can listen at these addresses at the same time. A wildcard takes the port at
 * all addresses, and :: at those of IPv4 as well (ipv6(7), IPV6_V6ONLY).
 */
export function doOverlap(one: Address, other: Address): boolean {
  // Port 0 never conflicts: the operating system chooses a free port each time.
  if (one.port !== other.port || one.port === 0) return false;
  if (isSameHost(one.host, other.host)) return true;
  return takesAllOf(one.host, other.host) || takesAllOf(other.host, one.host);
}

/** An address, and who uses it. */
export interface AddressUse<User> {
  readonly address: Address;
  readonly user: User;
}

/** The addresses that are used, without overlaps. */
export class UsedAddresses<User> {
  readonly #byPort = new Map<number, Map<string, AddressUse<User>>>();

  /** Adds a use, unless the address overlaps one that is used. Returns that one. */
  add(use: AddressUse<User>): AddressUse<User> | undefined {
    const { host, port } = use.address;
    const ofPort = this.#byPort.get(port) ?? new Map<string, AddressUse<User>>();
    this.#byPort.set(port, ofPort);
    const key = parseIp(host)?.toString() ?? host;
    // Every other overlap is one of a wildcard.
    const candidates = isWildcardHost(host)
      ? [...ofPort.values()]
      : [key, "0.0.0.0", "::"].flatMap((each) => ofPort.get(each) ?? []);
    const earlier = candidates.find(({ address }) => doOverlap(address, use.address));
    if (!earlier) ofPort.set(key, use);
    return earlier;
  }
}

function takesAllOf(wildcard: string, host: string): boolean {
  if (!isWildcardHost(wildcard)) return false;
  const families = familiesOf(host);
  return parseIp(wildcard)?.kind() === "ipv6" || families.includes("ipv4");
}

/** A name may stand for addresses of both. */
function familiesOf(host: string): readonly Family[] {
  const kind = parseIp(host)?.kind();
  return kind === undefined ? ["ipv4", "ipv6"] : [kind];
}

/** An address of IPv4 that is mapped to IPv6 counts as one of IPv4. */
function parseIp(host: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const text = host === "localhost" ? "127.0.0.1" : host;
  return ipaddr.isValid(text) ? ipaddr.process(text) : undefined;
}
