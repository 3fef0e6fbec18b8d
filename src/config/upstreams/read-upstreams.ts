import ipaddr from "ipaddr.js";
import { readAccess } from "./read-access.ts";
import { parseUpstreamName, type UpstreamName } from "../../oci/names.ts";
import { readCaBundle, readClientIdentity } from "./certificates.ts";
import { readCredentials } from "./credentials.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { parseProxy, type ProxyRule } from "../parsing/proxy.ts";
import { quote } from "../parsing/problems.ts";
import type { UpstreamEntry } from "../upstream-schema.ts";
import {
  DEFAULT_UPSTREAMS,
  defaultUrl,
  type Mirror,
  UPSTREAM_ALIASES,
  type UpstreamSettings,
} from "../settings.ts";
import type { UpstreamContext } from "./upstream-context.ts";

/** In milliseconds, as the next one. */
const TAG_TTL = 30_000;
const REVOKED_AFTER = 3_600_000;
const MAX_CONNECTIONS = 32;

/** An upstream and the path of its key in the file. */
export interface ConfiguredUpstream {
  readonly upstream: UpstreamSettings;
  readonly at: Path;
}

/** Reads the upstreams of a file and applies defaults. Invalid upstreams are reported and omitted. */
export function readUpstreams(
  entries: Readonly<Record<string, UpstreamEntry | null>>,
  context: UpstreamContext,
): ConfiguredUpstream[] {
  const upstreams: ConfiguredUpstream[] = [];
  for (const { name, at, entry } of namedUpstreams(entries, context)) {
    const upstream = readUpstream(name, at, entry, context);
    if (upstream) upstreams.push({ upstream, at });
  }
  return upstreams;
}

/** An upstream under the name that it has in images, and the path of its key in the file. */
interface NamedUpstream {
  readonly name: UpstreamName;
  readonly at: Path;
  readonly entry: UpstreamEntry;
}

/** The upstreams of a file by name. Invalid names, and what is defined twice, are reported and omitted. */
export function namedUpstreams(
  entries: Readonly<Record<string, UpstreamEntry | null>>,
  { report }: Pick<UpstreamContext, "report">,
): NamedUpstream[] {
  const named: NamedUpstream[] = [];
  const keyOf = new Map<UpstreamName, string>();
  for (const [key, entry] of Object.entries(entries)) {
    const at = ["upstreams", key];
    const name = canonicalName(key);
    if (name === undefined) {
      const hint = "write the host as in image names, such as ghcr.io or registry.test:5000";
      report(at, `${quote(key)} is not a valid registry name: ${hint}`, "key");
      continue;
    }
    const earlier = keyOf.get(name);
    if (earlier !== undefined) {
      report(at, `is the same upstream as ${quote(earlier)}: define it once`, "key");
      continue;
    }
    keyOf.set(name, key);
    named.push({ name, at, entry: entry ?? {} });
  }
  return named;
}

/** The default upstreams, for configurations without the key `upstreams`. */
export function defaultUpstreams(proxy?: ProxyRule): ConfiguredUpstream[] {
  const entries = Object.fromEntries(DEFAULT_UPSTREAMS.map((name) => [name, {}]));
  return readUpstreams(entries, {
    folder: "/",
    readFile: () => "",
    location: () => "",
    env: {},
    hasProgram: () => false,
    proxy,
    report: (at, message) => {
      throw new Error(`the default ${at.join(".")} ${message}`);
    },
  });
}

/** The name of an upstream, for which others may stand. */
function canonicalName(text: string): UpstreamName | undefined {
  const name = parseUpstreamName(text);
  return name && parseUpstreamName(UPSTREAM_ALIASES.get(name) ?? name);
}

function readUpstream(
  name: UpstreamName,
  at: Path,
  entry: UpstreamEntry,
  context: UpstreamContext,
): UpstreamSettings | undefined {
  const url = entry.url ?? URL.parse(defaultUrl(name)) ?? undefined;
  if (!url) {
    context.report(
      at,
      `${quote(name)} cannot be part of a URL: set url to the registry's URL`,
      "key",
    );
    return undefined;
  }
  const allowPrivate = entry.allowPrivate ?? false;
  if (!allowPrivate && isPrivateAddress(url.hostname)) {
    const message = `${url.hostname} is a private address, which needs allowPrivate: true`;
    if (entry.url) context.report([...at, "url"], message, "value");
    else context.report(at, message, "key");
  }
  if (entry.port !== undefined && entry.listen) {
    const message = "excludes listen, which has a port of its own: omit one of them";
    context.report([...at, "port"], message, "key");
  }
  const proxy = readProxy(at, entry.proxy, context);
  const ca = readCaBundle(at, entry.ca, context);
  const connection = { ...(ca === undefined ? {} : { ca }), ...(proxy ? { proxy } : {}) };
  const credentials = readCredentials(at, entry.auth, { name, url, connection }, context);
  const client = readClientIdentity(at, entry, context);
  const access = readAccess(at, entry, context);
  const { staleFor, allow, deny, bypass, immutableTags } = entry;
  return {
    name,
    url,
    ...(entry.port === undefined ? {} : { port: entry.port }),
    ...(entry.listen ? { listen: entry.listen } : {}),
    ...(entry.pathPrefix === undefined ? {} : { pathPrefix: entry.pathPrefix }),
    tagTtl: entry.tagTtl ?? TAG_TTL,
    revokedAfter: entry.revokedAfter ?? REVOKED_AFTER,
    ...(credentials ? { credentials } : {}),
    allowPrivate,
    trustedRealms: (entry.trustedRealms ?? []).map((host) => host.toLowerCase()),
    maxConnections: entry.maxConnections ?? MAX_CONNECTIONS,
    ...(entry.maxRate ? { maxRate: entry.maxRate } : {}),
    ...(entry.maxSize === undefined ? {} : { maxSize: entry.maxSize }),
    // 0 means no limit, as in Gardener's garbageCollection.ttl.
    ...(entry.maxAge ? { maxAge: entry.maxAge } : {}),
    ...(entry.mirrors ? { mirrors: readMirrors(at, entry.mirrors, context) } : {}),
    ...(proxy ? { proxy } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(client ? { client } : {}),
    ...(staleFor === undefined ? {} : { staleFor }),
    prefetch: entry.prefetch ?? "on",
    ...(access ? { access } : {}),
    ...(allow ? { allow } : {}),
    ...(deny ? { deny } : {}),
    ...(bypass ? { bypass } : {}),
    ...(immutableTags ? { immutableTags } : {}),
    ...(entry.adopt ? { adopt: entry.adopt } : {}),
  };
}

function readMirrors(
  at: Path,
  mirrors: NonNullable<UpstreamEntry["mirrors"]>,
  context: UpstreamContext,
): Mirror[] {
  return mirrors.map((entry, position) => {
    const mirror = entry instanceof URL ? { url: entry } : entry;
    const { url, allowPrivate = false, overridePath = false, resolve = true } = mirror;
    if (!allowPrivate && isPrivateAddress(url.hostname)) {
      const message = `${url.hostname} is a private address, which needs allowPrivate: true beside its url`;
      context.report([...at, "mirrors", position], message, "value");
    }
    const ca = readCaBundle([...at, "mirrors", position], mirror.ca, context);
    return { url, allowPrivate, overridePath, resolve, ...(ca === undefined ? {} : { ca }) };
  });
}

/** The proxy rule of an upstream. `none` means direct connections; an absent key, the environment's rule. */
function readProxy(
  at: Path,
  text: string | undefined,
  { proxy, report, location }: UpstreamContext,
): ProxyRule | undefined {
  if (text === undefined) return proxy;
  if (text === "none") return undefined;
  const url = parseProxy(text);
  const proxyPath = [...at, "proxy"];
  if (typeof url !== "string")
    return { http: url, https: url, except: [], from: location(proxyPath) };
  report(proxyPath, url, "value");
  return undefined;
}

/**
 * Whether a URL's host is an address of this machine or a private network. The dialer refuses such hosts
 * as well; checking here reports the problem before the first pull. Names are only checked when dialled.
 */
function isPrivateAddress(hostname: string): boolean {
  if (hostname === "localhost" || hostname.endsWith(".localhost")) return true;
  const host = hostname.replace(/^\[|\]$/g, "");
  if (!ipaddr.isValid(host)) return false;
  const range = ipaddr.process(host).range();
  return ["loopback", "private", "linkLocal", "uniqueLocal", "unspecified"].includes(range);
}
