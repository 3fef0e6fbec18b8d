import { parseUpstreamName } from "../../oci/names.ts";
import type { ImportedConfig, Origin } from "../foreign/imported-config.ts";
import { isPrivateHost } from "../foreign/private-host.ts";
import { formatDuration, parseGoDuration } from "../parsing/kubernetes-quantities.ts";
import { quote } from "../parsing/problems.ts";
import { parseAddress } from "../parsing/address.ts";
import { isLoopbackHost, isWildcardHost } from "../parsing/host-overlap.ts";
import type { PublishedAddress } from "./reach.ts";
import { defaultUrl, UPSTREAM_ALIASES } from "../settings.ts";
import { type RegistrySettings, type Setting, unsupportedReason } from "./registry-settings.ts";
import { importSurroundings } from "./import-surroundings.ts";
import { importTls } from "./import-tls.ts";

const DEFAULT_ROOT = "/var/lib/registry";
const IMPORTED_KEYS = new Set([
  "proxy.remoteurl",
  "proxy.username",
  "proxy.password",
  "proxy.ttl",
  "http.addr",
  "http.tls.certificate",
  "http.tls.key",
  "storage.filesystem.rootdirectory",
]);

const NOT_A_PROXY =
  "is not a pull-through cache, since it has no proxy.remoteurl: it is not replaced";

/** The address at which nodes reach a registry. */
interface PublishedPort {
  readonly upstream: string;
  readonly host: string;
  readonly port: number;
  readonly from: Origin;
}

/**
 * Imports registries that run as pull-through caches as the upstreams of one cache. Each upstream keeps the
 * registry's port, so that nodes need no change.
 *
 * @param names registry names by the host of `proxy.remoteurl`, for hosts that nodes know by another name
 */
export function importProxies(
  registries: readonly RegistrySettings[],
  imported: ImportedConfig,
  names: ReadonlyMap<string, string>,
): void {
  const ports: PublishedPort[] = [];
  const proxies: RegistrySettings[] = [];
  const isProxy = ({ settings }: RegistrySettings): boolean => settings.has("proxy.remoteurl");
  for (const registry of registries) {
    // A registry for pushed images among the proxies is no error: it stays in use.
    if (!isProxy(registry) && registries.some(isProxy)) {
      imported.skip(registry.from, NOT_A_PROXY);
      continue;
    }
    const name = importProxy(registry, imported, names);
    if (name === undefined) continue;
    proxies.push(registry);
    const published = publishedPortOf(registry, name, imported);
    const conflict = ports.find(({ port }) => port === published?.port);
    if (published && conflict) {
      const message = `port ${published.port} is already used by ${conflict.upstream}`;
      imported.reject(published.from, message);
    } else if (published) ports.push(published);
  }
  importPorts(ports, imported);
  importTls(proxies, imported);
}

/**
 * Imports one registry as an upstream. Returns the upstream's name, or undefined after reporting a
 * problem.
 */
function importProxy(
  registry: RegistrySettings,
  imported: ImportedConfig,
  names: ReadonlyMap<string, string>,
): string | undefined {
  const { settings, from } = registry;
  const remote = settings.get("proxy.remoteurl");
  if (!remote) {
    imported.reject(from, NOT_A_PROXY);
    return undefined;
  }
  const url = /^https?:\/\//i.test(remote.value) ? URL.parse(remote.value) : undefined;
  const host = url?.host.toLowerCase() ?? "";
  const name = parseUpstreamName(names.get(host) ?? UPSTREAM_ALIASES.get(host) ?? host);
  if (!url || !name || url.username || url.search || url.hash) {
    imported.reject(
      remote.from,
      `${quote(remote.value.replace(/\/\/[^/]*@/, "//…@"))} is not a valid registry URL`,
    );
    return undefined;
  }
  if (!imported.addUpstream(name, remote.from)) return undefined;
  const target = (key: string): string[] => ["upstreams", name, key];
  const address = url.href.replace(/\/+$/, "").replace(/\/v2$/, "");
  if (address !== defaultUrl(name)) imported.set(target("url"), [address], remote.from);
  if (registry.isInContainer && /^[a-z][\w-]*$/.test(url.hostname)) {
    const message = `${url.hostname} may be a name inside of the containers' network: set url of ${name} to an address that this machine reaches`;
    imported.warn(remote.from, message, "clients");
  }
  if (isPrivateHost(url.hostname))
    imported.set(target("allowPrivate"), [true], remote.from, "the host is in a private network");
  else if (url.protocol === "http:") {
    imported.skip(remote.from, "if this host is in a private network, add allowPrivate: true");
  }
  if (registry.surroundings) importSurroundings(registry.surroundings, name, url, imported);
  importCredentials(registry, name, imported);
  importTtl(settings.get("proxy.ttl"), name, imported);
  const folder = folderOf(registry);
  if (folder !== undefined) imported.adoptable.push({ upstream: name, folder });
  const reportedSections = new Set<string>();
  for (const [key, { from: origin }] of settings) {
    const reason = IMPORTED_KEYS.has(key) ? "" : unsupportedReason(key);
    // Only the first setting of a section with the same reason is reported.
    const section = `${key.split(".").slice(0, 2).join(".")} ${reason}`;
    if (reason === "" || reportedSections.has(section)) continue;
    reportedSections.add(section);
    imported.skip(origin, reason);
  }
  return name;
}

/** The data directory on the host; undefined for object storage, memory, or a container without a volume. */
function folderOf({ settings, folder, isInContainer }: RegistrySettings): string | undefined {
  if (folder || isInContainer) return folder?.value;
  if ([...settings.keys()].some((key) => /^storage\.(?:s3|gcs|azure|inmemory)/.test(key))) {
    return undefined;
  }
  return settings.get("storage.filesystem.rootdirectory")?.value ?? DEFAULT_ROOT;
}

function importCredentials(
  { settings }: RegistrySettings,
  name: string,
  imported: ImportedConfig,
): void {
  const username = settings.get("proxy.username");
  const password = settings.get("proxy.password");
  // Empty values mean no credentials.
  if (!username?.value && !password?.value) return;
  if (!username?.value || !password?.value) {
    const setting = username ?? password;
    if (setting) imported.reject(setting.from, "set both username and password, or neither");
    return;
  }
  const auth = { username: username.value, password: password.value };
  imported.set(
    ["upstreams", name, "auth"],
    [auth],
    username.from,
    "better stored in a file: see passwordFile",
  );
}

/**
 * Rejects a bare number other than 0, which means nanoseconds in Go and is never intended. 0 means
 * no limit.
 */
function importTtl(ttl: Setting | undefined, name: string, imported: ImportedConfig): void {
  if (!ttl) return;
  const age = parseGoDuration(ttl.value);
  if (age === undefined || age < 0)
    imported.reject(
      ttl.from,
      `${quote(ttl.value)} is not a valid duration: write one such as 168h`,
    );
  else imported.set(["upstreams", name, "maxAge"], [formatDuration(age)], ttl.from);
}

function publishedPortOf(
  registry: RegistrySettings,
  upstream: string,
  imported: ImportedConfig,
): PublishedPort | undefined {
  const { reach } = registry;
  if (reach?.kind === "private") {
    imported.skip(reach.from, `${reach.why}: if nodes use one, set it as port of the upstream`);
    return undefined;
  }
  if (reach?.kind === "published") {
    const chosen = widestOf(reach.addresses);
    for (const { from } of reach.addresses) {
      if (from !== chosen?.from)
        imported.skip(from, "an upstream has only one port, and another one was imported");
    }
    return chosen?.port === undefined ? undefined : { upstream, ...chosen, port: chosen.port };
  }
  const setting = registry.settings.get("http.addr");
  if (!setting) return undefined;
  const address = parseAddress(setting.value, "0.0.0.0");
  if (address && address.port > 0) return { upstream, ...address, from: setting.from };
  imported.reject(setting.from, `${quote(setting.value)} is not a valid address: write host:port`);
  return undefined;
}

/** Of several addresses, the one that most machines can reach. */
function widestOf(addresses: readonly PublishedAddress[]): PublishedAddress | undefined {
  return (
    addresses.find(({ host }) => isWildcardHost(host)) ??
    addresses.find(({ host }) => !isLoopbackHost(host)) ??
    addresses[0]
  );
}

/**
 * The port of Docker Hub becomes `listen`, where requests without a namespace mean Docker Hub. Without a
 * Docker Hub proxy, `listen` gets a port that no registry uses.
 */
function importPorts(ports: readonly PublishedPort[], imported: ImportedConfig): void {
  const [first] = ports;
  if (!first) return;
  const used = new Set(ports.map(({ port }) => port));
  const nextFree = (port: number): number => (used.has(port) ? nextFree(port + 1) : port);
  const isSameHost = ports.every(({ host }) => host === first.host);
  const host = isSameHost ? first.host : "0.0.0.0";
  const hostText = host.includes(":") ? `[${host}]` : host;
  const hub = ports.find(({ upstream }) => upstream === "docker.io");
  const mainPort = hub?.port ?? nextFree(5000);
  used.add(mainPort);
  if (hub) {
    imported.set(
      ["listen"],
      [`${hostText}:${mainPort}`],
      hub.from,
      "requests without a namespace mean Docker Hub",
    );
  } else {
    const note = "a port that no registry uses";
    imported.set(["listen"], [`${hostText}:${mainPort}`], first.from, note);
  }
  if (!isSameHost) imported.skip(first.from, "all ports are opened at the host of listen");
  if (used.has(5001)) {
    imported.set(["admin"], [`127.0.0.1:${nextFree(5001)}`], first.from, "port 5001 is in use");
  }
  for (const { upstream, port, from } of ports) {
    if (upstream !== "docker.io") imported.set(["upstreams", upstream, "port"], [port], from);
  }
}
