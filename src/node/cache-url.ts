import { isIPv6 } from "node:net";

/** URLs allow `$(id)` as a host, which no name server knows, but a file that is written may reach a shell. */
export function isHostOfCache({ hostname }: URL): boolean {
  return /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])$/.test(hostname);
}

/**
 * A node's address comes without brackets from Kubernetes (`status.hostIP`), and so does the URL in which it is
 * put before a port. What follows the last colon is the port, since such a URL means nothing else.
 */
function withBrackets(text: string): string {
  const [, scheme = "", host = "", port = ""] =
    /^(https?:\/\/)([^/[\]@]+):(\d+)\/?$/i.exec(text) ?? [];
  return isIPv6(host) ? `${scheme}[${host}]:${port}` : text;
}

/** The cache's URL as it is written to hosts.toml, or what is wrong with it and how to fix it. */
export function parseCacheUrl(text: string): { url: string } | { problem: string } {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    return { problem: `has no scheme: write http://${text} or https://${text}` };
  }
  const url = URL.parse(withBrackets(text));
  if (!url) return { problem: "is not a valid URL: write http://host:port" };
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    const scheme = url.protocol.slice(0, -1);
    return { problem: `has the unsupported scheme ${scheme}: write http:// or https://` };
  }
  if (!isHostOfCache(url)) {
    return { problem: `has the invalid host ${url.hostname}: write a name or an address` };
  }
  if (url.username || url.password) return { problem: "contains credentials: remove them" };
  if (url.search || url.hash) return { problem: "has a query or a fragment: remove it" };
  if (url.pathname !== "/") {
    return { problem: `has a path: write ${url.origin}, because the cache serves at the root` };
  }
  return { url: url.origin };
}
