import { parseUpstreamName } from "../../oci/names.ts";
import type { ImportedConfig, Origin } from "../foreign/imported-config.ts";
import { isInside } from "../foreign/private-host.ts";
import { goDuration, writeDuration } from "../parsing/kubernetes-quantities.ts";
import { quote } from "../parsing/problems.ts";
import { parseAddress } from "../schema.ts";
import { defaultUrl, UPSTREAM_ALIASES } from "../settings.ts";
import { type Fact, type RegistrySettings, whyNot } from "./registry-settings.ts";
import { carryTls } from "./tls.ts";

const DEFAULT_ROOT = "/var/lib/registry";
const READ = new Set([
  "proxy.remoteurl",
  "proxy.username",
  "proxy.password",
  "proxy.ttl",
  "http.addr",
  "http.tls.certificate",
  "http.tls.key",
  "storage.filesystem.rootdirectory",
]);

const NO_PROXY = "is no pull-through cache, since it has no proxy.remoteurl: it stays as it is";

/** A registry's port, and the host of it where it is not open to all. */
interface Listening {
  readonly upstream: string;
  readonly host: string;
  readonly port: number;
  readonly from: Origin;
}

/**
 * Makes one cache of many registries, at whose ports nodes go on pulling.
 *
 * @param names the registry that a host stands for, where nodes call it otherwise
 */
export function carryProxies(
  registries: readonly RegistrySettings[],
  draft: ImportedConfig,
  names: ReadonlyMap<string, string>,
): void {
  const listening: Listening[] = [];
  const carried: RegistrySettings[] = [];
  const isProxy = ({ settings }: RegistrySettings): boolean => settings.has("proxy.remoteurl");
  for (const facts of registries) {
    // Beside those that are, one that images are pushed to is nobody's concern here.
    if (!isProxy(facts) && registries.some(isProxy)) {
      draft.leave(facts.from, NO_PROXY);
      continue;
    }
    const name = carryProxy(facts, draft, names);
    if (name === undefined) continue;
    carried.push(facts);
    const own = listeningOf(facts, name, draft);
    const clash = listening.find(({ port }) => port === own?.port);
    if (own && clash) draft.refuse(own.from, `port ${own.port} is ${clash.upstream}'s already`);
    else if (own) listening.push(own);
  }
  carryPorts(listening, draft);
  carryTls(carried, draft);
}

function carryProxy(
  facts: RegistrySettings,
  draft: ImportedConfig,
  names: ReadonlyMap<string, string>,
): string | undefined {
  const { settings, from } = facts;
  const remote = settings.get("proxy.remoteurl");
  if (!remote) {
    draft.refuse(from, NO_PROXY);
    return undefined;
  }
  const url = /^https?:\/\//i.test(remote.value) ? URL.parse(remote.value) : undefined;
  const host = url?.host.toLowerCase() ?? "";
  const name = parseUpstreamName(names.get(host) ?? UPSTREAM_ALIASES.get(host) ?? host);
  if (!url || !name || url.username || url.search || url.hash) {
    draft.refuse(
      remote.from,
      `${quote(remote.value.replace(/\/\/[^/]*@/, "//…@"))} is no registry's address`,
    );
    return undefined;
  }
  if (!draft.upstream(name, remote.from)) return undefined;
  const into = (key: string): string[] => ["upstreams", name, key];
  const address = url.href.replace(/\/+$/, "").replace(/\/v2$/, "");
  if (address !== defaultUrl(name)) draft.set(into("url"), [address], remote.from);
  if (isInside(url.hostname))
    draft.set(into("allowPrivate"), [true], remote.from, "it is in your own network");
  else if (url.protocol === "http:") {
    draft.leave(remote.from, "if this host is in your own network, add allowPrivate: true");
  }
  carryCredentials(facts, name, draft);
  carryAge(settings.get("proxy.ttl"), name, draft);
  const folder = folderOf(facts);
  if (folder !== undefined) draft.adoptable.push({ upstream: name, folder });
  const told = new Set<string>();
  for (const [key, { from: here }] of settings) {
    const why = READ.has(key) ? "" : whyNot(key);
    // A section of many settings is told by its first.
    const topic = `${key.split(".").slice(0, 2).join(".")} ${why}`;
    if (why === "" || told.has(topic)) continue;
    told.add(topic);
    draft.leave(here, why);
  }
  return name;
}

/** Its data on this machine; undefined in a bucket, in memory, or in a container's own layer. */
function folderOf({ settings, folder, isContained }: RegistrySettings): string | undefined {
  if (folder || isContained) return folder?.value;
  if ([...settings.keys()].some((key) => /^storage\.(?:s3|gcs|azure|inmemory)/.test(key))) {
    return undefined;
  }
  return settings.get("storage.filesystem.rootdirectory")?.value ?? DEFAULT_ROOT;
}

function carryCredentials(
  { settings }: RegistrySettings,
  name: string,
  draft: ImportedConfig,
): void {
  const username = settings.get("proxy.username");
  const password = settings.get("proxy.password");
  // Both empty is how people leave them out.
  if (!username?.value && !password?.value) return;
  if (!username?.value || !password?.value) {
    const one = username ?? password;
    if (one) draft.refuse(one.from, "username and password are given together, or not at all");
    return;
  }
  const auth = { username: username.value, password: password.value };
  draft.set(
    ["upstreams", name, "auth"],
    [auth],
    username.from,
    "better kept in a file: passwordFile",
  );
}

/** A bare number is nanoseconds in Go, which nobody means; 0 is never. */
function carryAge(ttl: Fact | undefined, name: string, draft: ImportedConfig): void {
  if (!ttl) return;
  const age = goDuration(ttl.value);
  if (age === undefined || age < 0)
    draft.refuse(ttl.from, `${quote(ttl.value)} is no duration, such as 168h`);
  else draft.set(["upstreams", name, "maxAge"], [writeDuration(age)], ttl.from);
}

function listeningOf(
  facts: RegistrySettings,
  upstream: string,
  draft: ImportedConfig,
): Listening | undefined {
  const fact = facts.port ?? facts.settings.get("http.addr");
  if (!fact) return undefined;
  const address = parseAddress(fact.value, "0.0.0.0");
  if (address && address.port > 0) return { upstream, ...address, from: fact.from };
  draft.refuse(fact.from, `${quote(fact.value)} is no address: write host:port`);
  return undefined;
}

/**
 * Docker Hub's port becomes `listen`, where what names no registry means Docker Hub in any case;
 * without it, `listen` gets out of the way of the others.
 */
function carryPorts(listening: readonly Listening[], draft: ImportedConfig): void {
  const [some] = listening;
  if (!some) return;
  const taken = new Set(listening.map(({ port }) => port));
  const free = (wanted: number): number => (taken.has(wanted) ? free(wanted + 1) : wanted);
  const isSame = listening.every(({ host }) => host === some.host);
  const host = isSame ? some.host : "0.0.0.0";
  const written = host.includes(":") ? `[${host}]` : host;
  const hub = listening.find(({ upstream }) => upstream === "docker.io");
  const main = hub?.port ?? free(5000);
  taken.add(main);
  if (hub) {
    draft.set(
      ["listen"],
      [`${written}:${main}`],
      hub.from,
      "what names no registry means Docker Hub",
    );
  } else {
    draft.set(["listen"], [`${written}:${main}`], some.from, "beside the ports of the registries");
  }
  if (!isSame) draft.leave(some.from, "all ports are opened at one address: listen");
  if (taken.has(5001)) {
    draft.set(["admin"], [`127.0.0.1:${free(5001)}`], some.from, "5001 is taken");
  }
  for (const { upstream, port, from } of listening) {
    if (upstream !== "docker.io") draft.set(["upstreams", upstream, "port"], [port], from);
  }
}
