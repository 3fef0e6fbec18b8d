import ipaddr from "ipaddr.js";

/** Which proxy requests use. The URLs may contain credentials: they are secrets. */
export interface ProxyRule {
  readonly http?: URL;
  readonly https?: URL;
  /**
   * Hosts without a proxy, as in NO_PROXY: hosts, `.suffixes`, addresses and CIDR ranges, with an
   * optional port; `*` for all.
   */
  readonly except: readonly string[];
  /** Where the proxy was configured, for messages: `HTTPS_PROXY`, `entrepot.yaml:4:12`. */
  readonly from: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Parses the address of an HTTP proxy. Returns the reason if the text is invalid. */
export function parseProxy(text: string): URL | string {
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (!url?.hostname) return "is not a valid proxy address: write http://host:port, or none";
  if (!/^https?:$/.test(url.protocol))
    return "has an unsupported scheme: only http and https proxies are supported";
  if (url.pathname !== "/" || url.search || url.hash)
    return "has a path, query or fragment, which a proxy address must not have";
  return url;
}

/**
 * The rule of HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in upper or lower case. Returns undefined if no
 * proxy is set.
 */
export function proxyFromEnvironment(
  env: Env,
  report: (variable: string, message: string) => void,
): ProxyRule | undefined {
  const read = (name: string): URL | undefined => {
    const variable = env[name.toLowerCase()] ? name.toLowerCase() : name;
    const text = env[variable];
    if (!text) return undefined;
    const proxy = parseProxy(text);
    if (typeof proxy !== "string") return proxy;
    report(variable, `its value ${proxy}`);
    return undefined;
  };
  const [http, https] = [read("HTTP_PROXY"), read("HTTPS_PROXY")];
  if (!http && !https) return undefined;
  const except = (env["no_proxy"] || env["NO_PROXY"] || "")
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== "");
  const from = https ? "HTTPS_PROXY" : "HTTP_PROXY";
  // Requests to this machine never use a proxy, as in Go programs and curl.
  const local = ["localhost", "127.0.0.0/8", "::1"];
  return {
    ...(http ? { http } : {}),
    ...(https ? { https } : {}),
    except: [...except, ...local],
    from,
  };
}

/** The proxy for a request to a URL; undefined for a direct connection. */
export function proxyFor(rule: ProxyRule | undefined, url: URL): URL | undefined {
  const proxy = url.protocol === "https:" ? rule?.https : rule?.http;
  if (!rule || !proxy) return undefined;
  return rule.except.some((entry) => isExcluded(entry, url)) ? undefined : proxy;
}

function isExcluded(entry: string, url: URL): boolean {
  if (entry === "*") return true;
  const host = url.hostname.replaceAll(/[[\]]/g, "");
  if (ipaddr.isValid(host)) return isSameAddress(entry, host, portOf(url));
  const [, name = entry, port] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (port !== undefined && port !== portOf(url)) return false;
  const bare = name.replace(/^\*?\./, "");
  return host === bare || host.endsWith(`.${bare}`);
}

function isSameAddress(entry: string, host: string, port: string): boolean {
  const address = ipaddr.process(host);
  if (ipaddr.isValidCIDR(entry)) {
    const [range, bits] = ipaddr.parseCIDR(entry);
    return range.kind() === address.kind() && address.match(range, bits);
  }
  const [, bracketed, plain, wantedPort] =
    /^(?:\[(.+)\]|([^:]*|.*:.*:.*?))(?::(\d+))?$/.exec(entry) ?? [];
  const text = bracketed ?? plain ?? "";
  if (wantedPort !== undefined && wantedPort !== port) return false;
  return ipaddr.isValid(text) && ipaddr.process(text).toString() === address.toString();
}

function portOf(url: URL): string {
  return url.port || (url.protocol === "https:" ? "443" : "80");
}
