import { quote } from "./problems.ts";

/** An address to listen on. With port 0 the operating system chooses a port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Parses `host:port`, `[IPv6]:port`, `:port` or a bare port. Without a host, `defaultHost` is used. */
export function parseAddress(text: string, defaultHost: string): Address | undefined {
  const match = /^(?:(\[[a-fA-F0-9:.]+\]|[^:\s[\]/]*):)?(\d{1,5})$/.exec(text.trim());
  if (!match || Number(match[2]) > 65_535) return undefined;
  return { host: match[1]?.replaceAll(/[[\]]/g, "") || defaultHost, port: Number(match[2]) };
}

/** As `host:port`, with an IPv6 address in brackets. */
export function formatAddress({ host, port }: Address): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The message for an address that cannot be parsed. */
export function addressProblem(text: string): string {
  return `${quote(text)} is not a valid address: write host:port, such as 0.0.0.0:5000`;
}

/** Whether the path of a URL, as it is written, has `..`: a parser would remove it, and what is before it. */
export function hasParentSegment(url: string): boolean {
  return /[/\\](?:\.|%2e){2}(?=[/\\?#]|$)/i.test(url);
}
