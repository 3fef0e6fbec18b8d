import ipaddr from "ipaddr.js";

/** Through which proxy requests go. An address may hold user and password: it is a secret. */
export interface ProxyRule {
  readonly http?: URL;
  readonly https?: URL;
  /** As in NO_PROXY: hosts, `.suffixes`, addresses, CIDR ranges, each with or without a port; `*` for all. */
  readonly except: readonly string[];
  /** Where it was configured, for messages: `HTTPS_PROXY`, `entrepot.yaml:4:12`. */
  readonly from: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/** A proxy's address, or why the text is none. `none` goes without, whatever the environment says. */
export function parseProxy(text: string): URL | string {
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (!url?.hostname) return "is no proxy's address: write http://host:port, or none";
  if (!/^https?:$/.test(url.protocol)) return "is not spoken here: only http and https proxies are";
  if (url.pathname !== "/" || url.search || url.hash)
    return "has a path, which a proxy's address has not";
  return url;
}

/** The rule of HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in capitals or not; `undefined` where there is none. */
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
  // This machine needs no proxy to reach itself; Go's programs and curl have it so, too.
  const local = ["localhost", "127.0.0.0/8", "::1"];
  return {
    ...(http ? { http } : {}),
    ...(https ? { https } : {}),
    except: [...except, ...local],
    from,
  };
}

/** The proxy for a request; `undefined` where it goes straight. */
export function proxyFor(rule: ProxyRule | undefined, url: URL): URL | undefined {
  const proxy = url.protocol === "https:" ? rule?.https : rule?.http;
  if (!rule || !proxy) return undefined;
  return rule.except.some((entry) => isExcepted(entry, url)) ? undefined : proxy;
}

function isExcepted(entry: string, url: URL): boolean {
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
  const [, bracketed, plain, asked] =
    /^(?:\[(.+)\]|([^:]*|.*:.*:.*?))(?::(\d+))?$/.exec(entry) ?? [];
  const text = bracketed ?? plain ?? "";
  if (asked !== undefined && asked !== port) return false;
  return ipaddr.isValid(text) && ipaddr.process(text).toString() === address.toString();
}

function portOf(url: URL): string {
  return url.port || (url.protocol === "https:" ? "443" : "80");
}
