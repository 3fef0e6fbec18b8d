import ipaddr from "ipaddr.js";
import { parseUpstreamName, type UpstreamName } from "../../oci/names.ts";
import { readAuthorities, readClientIdentity } from "./certificates.ts";
import { readCredentials } from "./credentials.ts";
import type { Path } from "../parsing/yaml-source.ts";
import { parseProxy, type ProxyRule } from "../parsing/proxy.ts";
import { quote } from "../parsing/problems.ts";
import type { UpstreamEntry } from "../schema.ts";
import {
  DEFAULT_UPSTREAMS,
  defaultUrl,
  type Mirror,
  UPSTREAM_ALIASES,
  type UpstreamSettings,
} from "../settings.ts";
import type { UpstreamContext } from "./upstream-context.ts";

const TAG_TTL = 30_000;
const MAX_CONNECTIONS = 32;

/** An upstream, and its key in the file. */
export interface PlacedUpstream {
  readonly upstream: UpstreamSettings;
  readonly at: Path;
}

/** The upstreams of a file, complete. What is wrong is reported, and the upstream left out. */
export function readUpstreams(
  entries: Readonly<Record<string, UpstreamEntry | null>>,
  context: UpstreamContext,
): PlacedUpstream[] {
  const upstreams: PlacedUpstream[] = [];
  const writtenAs = new Map<UpstreamName, string>();
  for (const [key, entry] of Object.entries(entries)) {
    const at = ["upstreams", key];
    const name = canonicalName(key);
    if (name === undefined) {
      const hint = "write the host as image names carry it, such as ghcr.io or registry.test:5000";
      context.report(at, `${quote(key)} is no registry's name: ${hint}`, "key");
      continue;
    }
    const earlier = writtenAs.get(name);
    if (earlier !== undefined) {
      context.report(at, `is the same upstream as ${quote(earlier)}: write it once`, "key");
      continue;
    }
    writtenAs.set(name, key);
    const upstream = complete(name, at, entry ?? {}, context);
    if (upstream) upstreams.push({ upstream, at });
  }
  return upstreams;
}

/** What is cached where no file says it. */
export function defaultUpstreams(proxy?: ProxyRule): PlacedUpstream[] {
  const entries = Object.fromEntries(DEFAULT_UPSTREAMS.map((name) => [name, {}]));
  return readUpstreams(entries, {
    folder: "/",
    readFile: () => "",
    place: () => "",
    env: {},
    hasProgram: () => false,
    proxy,
    report: (at, message) => {
      throw new Error(`the default ${at.join(".")} ${message}`);
    },
  });
}

function canonicalName(text: string): UpstreamName | undefined {
  const name = parseUpstreamName(text);
  return name && parseUpstreamName(UPSTREAM_ALIASES.get(name) ?? name);
}

function complete(
  name: UpstreamName,
  at: Path,
  entry: UpstreamEntry,
  context: UpstreamContext,
): UpstreamSettings | undefined {
  const url = entry.url ?? URL.parse(defaultUrl(name)) ?? undefined;
  if (!url) {
    context.report(at, `${quote(name)} makes no URL: write the registry's under url`, "key");
    return undefined;
  }
  const allowPrivate = entry.allowPrivate ?? false;
  if (!allowPrivate && isInside(url.hostname)) {
    const message = `${url.hostname} is a private address, which is dialled only with allowPrivate: true`;
    if (entry.url) context.report([...at, "url"], message, "value");
    else context.report(at, message, "key");
  }
  const credentials = readCredentials(at, entry.auth, { name, url }, context);
  const proxy = readProxy(at, entry.proxy, context);
  const ca = readAuthorities(at, entry.ca, context);
  const client = readClientIdentity(at, entry, context);
  const { staleFor, allow, deny, bypass, immutableTags } = entry;
  return {
    name,
    url,
    ...(entry.port === undefined ? {} : { port: entry.port }),
    tagTtl: entry.tagTtl ?? TAG_TTL,
    ...(credentials ? { credentials } : {}),
    allowPrivate,
    trustedRealms: (entry.trustedRealms ?? []).map((host) => host.toLowerCase()),
    maxConnections: entry.maxConnections ?? MAX_CONNECTIONS,
    ...(entry.maxSize === undefined ? {} : { maxSize: entry.maxSize }),
    // 0 is never, as in Gardener's garbageCollection.ttl.
    ...(entry.maxAge ? { maxAge: entry.maxAge } : {}),
    ...(entry.mirrors ? { mirrors: readMirrors(at, entry.mirrors, context) } : {}),
    ...(proxy ? { proxy } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(client ? { client } : {}),
    ...(staleFor === undefined ? {} : { staleFor }),
    ...(allow ? { allow } : {}),
    ...(deny ? { deny } : {}),
    ...(bypass ? { bypass } : {}),
    ...(immutableTags ? { immutableTags } : {}),
  };
}

function readMirrors(
  at: Path,
  mirrors: NonNullable<UpstreamEntry["mirrors"]>,
  context: UpstreamContext,
): Mirror[] {
  return mirrors.map((written, position) => {
    const mirror = written instanceof URL ? { url: written } : written;
    const { url, allowPrivate = false, overridePath = false, resolve = true } = mirror;
    if (!allowPrivate && isInside(url.hostname)) {
      const message = `${url.hostname} is a private address, which is dialled only with allowPrivate: true beside its url`;
      context.report([...at, "mirrors", position], message, "value");
    }
    const ca = readAuthorities([...at, "mirrors", position], mirror.ca, context);
    return { url, allowPrivate, overridePath, resolve, ...(ca === undefined ? {} : { ca }) };
  });
}

/** `none` goes straight; what is not said is the environment's. */
function readProxy(
  at: Path,
  written: string | undefined,
  { proxy, report, place }: UpstreamContext,
): ProxyRule | undefined {
  if (written === undefined) return proxy;
  if (written === "none") return undefined;
  const url = parseProxy(written);
  const where = [...at, "proxy"];
  if (typeof url !== "string") return { http: url, https: url, except: [], from: place(where) };
  report(where, url, "value");
  return undefined;
}

/**
 * Whether a URL's host is plainly this machine or its own network. It would be refused when it is
 * dialled; said here, it is said before the first pull. Names are only judged when they are dialled.
 */
function isInside(hostname: string): boolean {
  if (hostname === "localhost" || hostname.endsWith(".localhost")) return true;
  const host = hostname.replace(/^\[|\]$/g, "");
  if (!ipaddr.isValid(host)) return false;
  const range = ipaddr.process(host).range();
  return ["loopback", "private", "linkLocal", "uniqueLocal", "unspecified"].includes(range);
}
