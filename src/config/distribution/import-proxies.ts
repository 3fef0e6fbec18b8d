import { parseUpstreamName } from "../../oci/names.ts";
import type { ImportedConfig, PublishedAddress } from "../foreign/imported-config.ts";
import { firstAccepted } from "../foreign/accepted-value.ts";
import { isPrivateHost } from "../foreign/private-host.ts";
import { formatDuration, parseGoDuration } from "../parsing/kubernetes-quantities.ts";
import { quote } from "../parsing/problems.ts";
import { defaultUrl, UPSTREAM_ALIASES } from "../settings.ts";
import { importData, type NamedRegistry } from "./import-data.ts";
import { type RegistrySettings, type Setting, unsupportedReason } from "./registry-settings.ts";
import { type GivenAddress, importAddresses, type ImportedRegistry } from "./import-addresses.ts";
import { importProtection } from "./import-protection.ts";
import { importSurroundings } from "./import-surroundings.ts";
import { importHelper } from "./import-helper.ts";
import { importTls } from "./import-tls.ts";
import { registryMirroredBy } from "./known-mirrors.ts";

const IMPORTED_KEYS = new Set([
  "proxy.remoteurl",
  "proxy.username",
  "proxy.password",
  "proxy.ttl",
  "proxy.exec.command",
  "proxy.exec.lifetime",
  "http.addr",
  "http.prefix",
  "http.tls.certificate",
  "http.tls.key",
  "storage.filesystem.rootdirectory",
]);

/** Names that resolve inside of the networks of Docker, Podman and Kubernetes only. */
const INNER_HOST =
  /^[a-z][\w-]*$|\.svc(?:\.|$)|\.cluster\.local$|^host\.(?:docker|containers)\.internal$/;

const NOT_A_PROXY =
  "is not a pull-through cache, since it has no proxy.remoteurl: it is not replaced";

/** What the operator says about the registries, beyond what their files do. */
export interface ImportDecisions {
  /** Registry names by the host of `proxy.remoteurl`, for hosts that nodes know by another name. */
  readonly names: ReadonlyMap<string, string>;
  /** Where upstreams are to be served, by name. */
  readonly addresses: ReadonlyMap<string, GivenAddress>;
  /** The upstreams that may be served to all clients, although their registries asked who they are. */
  readonly withoutAuth: ReadonlySet<string>;
}

/**
 * Imports registries that run as pull-through caches as the upstreams of one cache. Each upstream keeps the
 * registry's address, so that nodes need no change and nobody else can pull.
 */
export function importProxies(
  registries: readonly RegistrySettings[],
  imported: ImportedConfig,
  { names, addresses, withoutAuth }: ImportDecisions,
): void {
  const proxies: ImportedRegistry[] = [];
  const named: NamedRegistry[] = [];
  const isProxy = ({ settings }: RegistrySettings): boolean => settings.has("proxy.remoteurl");
  for (const registry of registries) {
    // A registry for pushed images among the proxies is no error: it stays in use.
    if (!isProxy(registry) && registries.some(isProxy)) {
      imported.skip(registry.from, NOT_A_PROXY);
      named.push({ name: undefined, registry });
      continue;
    }
    const upstream = importProxy(registry, imported, names);
    if (upstream === undefined) continue;
    proxies.push({ upstream, registry });
    named.push({ name: upstream, registry });
    if (registry.runsIn) imported.replaced.push(registry.runsIn);
    if (registry.isOnHostNetwork) imported.isOnHostNetwork = true;
    imported.published.set(upstream, addressesOf(registry));
    imported.extraHosts.push(...(registry.surroundings?.hosts ?? []));
    imported.nameServers.push(...(registry.surroundings?.nameServers ?? []));
  }
  warnOfMirrors(proxies, imported);
  const served = importAddresses(proxies, imported, addresses);
  importProtection(proxies, served, withoutAuth, imported);
  importTls(
    proxies.map(({ registry }) => registry),
    imported,
  );
  importData(named, imported);
}

function addressesOf({ reach }: RegistrySettings): PublishedAddress[] {
  if (reach?.kind !== "published") return [];
  return reach.addresses.flatMap(({ host, isEveryHost, port, from }) =>
    port === undefined ? [] : [{ host: isEveryHost ? undefined : host, port, from }],
  );
}

/** Warns of upstreams whose images nodes request under another name. */
function warnOfMirrors(proxies: readonly ImportedRegistry[], imported: ImportedConfig): void {
  for (const { upstream, registry } of proxies) {
    const mirrored = registryMirroredBy(upstream);
    const remote = registry.settings.get("proxy.remoteurl");
    if (mirrored === undefined || !remote) continue;
    const advice = proxies.some((other) => other.upstream === mirrored)
      ? `it can be one of the mirrors of ${mirrored} instead`
      : `if nodes pull ${mirrored} through it, import again with --name ${upstream}=${mirrored}`;
    const message = `${upstream} is known as a mirror of ${mirrored}: ${advice}`;
    imported.warn(remote.from, message, "clients");
  }
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
  if (registry.isInContainer && INNER_HOST.test(url.hostname)) {
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
  importPrefix(settings.get("http.prefix"), name, imported);
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

/** Imports the path before `/v2/` that the requests of nodes have. */
function importPrefix(prefix: Setting | undefined, name: string, imported: ImportedConfig): void {
  if (!prefix || prefix.value === "/") return;
  const at = ["upstreams", name, "pathPrefix"];
  if (firstAccepted(at, [prefix.value]) !== undefined) {
    imported.set(at, [prefix.value], prefix.from);
  } else {
    imported.reject(prefix.from, `${quote(prefix.value)} is not a path such as /cache/`);
  }
}

function importCredentials(
  registry: RegistrySettings,
  name: string,
  imported: ImportedConfig,
): void {
  const { settings, passwordFile } = registry;
  if (importHelper(registry, name, imported)) return;
  const username = settings.get("proxy.username");
  const password = passwordFile ?? settings.get("proxy.password");
  // Empty values mean no credentials.
  if (!username?.value && !password?.value) return;
  if (!username?.value || !password?.value) {
    const setting = username ?? password;
    if (setting) imported.reject(setting.from, "set both username and password, or neither");
    return;
  }
  const at = ["upstreams", name, "auth"];
  if (passwordFile) {
    const auth = { username: username.value, passwordFile: passwordFile.value };
    imported.set(at, [auth], username.from);
    return;
  }
  const auth = { username: username.value, password: password.value };
  imported.set(at, [auth], username.from, "better stored in a file: see passwordFile");
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
