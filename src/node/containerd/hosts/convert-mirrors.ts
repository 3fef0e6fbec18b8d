import type { HostEntry, HostFields } from "../../../config/containerd/hosts-toml.ts";
import { parseUpstreamName } from "../../../oci/names.ts";
import type { Position } from "../../findings.ts";
import type { Obstacle } from "../../plan.ts";
import type { CertificateProblem } from "./certificates.ts";
import { hostOf } from "./hosts-file.ts";
import type { Mirror, RegistryTables, TlsEntry } from "../config/registry-tables.ts";

/** The deprecated settings of one registry, converted to the fields of a hosts.toml. */
export interface ConvertedRegistry {
  readonly registry: string;
  /** Its endpoints in order, except a last one that is the registry itself. */
  readonly hosts: readonly HostEntry[];
  readonly server: string;
  /** TLS settings of the server. */
  readonly root: HostFields;
}

export interface MirrorConversion {
  /** Registries that have an entry in `mirrors` or `configs.*.tls`. */
  readonly registries: ReadonlyMap<string, ConvertedRegistry>;
  /** The endpoints of `mirrors."*"`; undefined without such an entry. */
  readonly wildcard: readonly HostEntry[] | undefined;
  readonly obstacles: readonly Obstacle[];
  readonly notes: readonly string[];
}

const PULL = { capabilities: ["pull", "resolve"] } as const;

/**
 * Converts `mirrors` and `configs.*.tls` to hosts.toml so that every request goes to the same hosts as
 * before (registryHosts and registryEndpoints in pkg/cri/server/image_pull.go of containerd 1.6).
 *
 * @param problems why the certificates and keys of a host cannot be loaded
 */
export function convertMirrors(
  tables: RegistryTables,
  problems: (fields: HostFields) => readonly CertificateProblem[],
): MirrorConversion {
  const obstacles: Obstacle[] = [];
  const notes: string[] = [];
  const tls = new Map<string, HostFields>();
  for (const entry of tables.tls) {
    if (entry.host === "*") {
      notes.push(
        `configs."*".tls (${entry.file}:${entry.line}) has no effect in containerd and is removed`,
      );
      continue;
    }
    if (!isRegistry(entry.host)) {
      // containerd looks configs up by an endpoint's host, and never finds such a name.
      notes.push(
        `configs.${JSON.stringify(entry.host)}.tls (${entry.file}:${entry.line}) names no registry, has no effect and is removed`,
      );
      continue;
    }
    obstacles.push(...tlsObstacles(entry, problems));
    tls.set(entry.host, tlsFields(entry));
  }
  const registries = new Map<string, ConvertedRegistry>();
  let wildcard: HostEntry[] | undefined;
  for (const mirror of tables.mirrors) {
    const at = { file: mirror.file, line: mirror.line };
    const obstacle = mirrorObstacle(mirror);
    if (obstacle) {
      obstacles.push({ code: "mirror-not-convertible", at, ...obstacle });
      continue;
    }
    const endpoints = (mirror.endpoints ?? []).flatMap((endpoint) => {
      const host = hostEntry(endpoint, tls);
      if (typeof host !== "string") return [host];
      obstacles.push({
        code: "endpoint-not-convertible",
        at,
        what: `the endpoint ${JSON.stringify(endpoint)} ${host}`,
        advice: "write it as https://host[:port][/path] or remove it, then plan again",
      });
      return [];
    });
    if (mirror.registry === "*") wildcard = endpoints;
    else registries.set(mirror.registry, registryOf(mirror.registry, endpoints, tls));
  }
  for (const host of tls.keys()) {
    // Images may also be pulled from a mirror's host by its own name, with the endpoints of `*` first as
    // for any other registry.
    if (!registries.has(host)) registries.set(host, registryOf(host, wildcard ?? [], tls));
  }
  obstacles.push(...unknownKeys(tables));
  return { registries, wildcard, obstacles, notes };
}

/** Names become directory names, so that a name such as `..` must be rejected. */
function isRegistry(name: string): boolean {
  return parseUpstreamName(name) !== undefined;
}

function mirrorObstacle({
  registry,
  endpoints,
}: Mirror): Pick<Obstacle, "what" | "advice"> | undefined {
  const name = `mirrors.${JSON.stringify(registry)}`;
  if (registry !== "*" && !isRegistry(registry)) {
    const what = `${name} is not the name of a registry, and no pull uses it`;
    return { what, advice: "write host[:port] only or remove it, then plan again" };
  }
  if (endpoints !== undefined) return undefined;
  const what = `the endpoint of ${name} is not an array of strings, and CRI does not start with it`;
  return { what, advice: 'write endpoint = ["https://host[:port]"], then plan again' };
}

function registryOf(
  registry: string,
  endpoints: readonly HostEntry[],
  tls: ReadonlyMap<string, HostFields>,
): ConvertedRegistry {
  const server = defaultServer(registry);
  const last = endpoints.at(-1);
  // A last endpoint that is the registry itself replaces the default one, and becomes `server`.
  const isServer = last !== undefined && hostOf(last.url) === hostOf(server) && !last.overridePath;
  const hosts = isServer ? endpoints.slice(0, -1) : [...endpoints];
  const url = isServer ? last.url : server;
  const root = url.startsWith("http://") ? undefined : tls.get(hostOf(server));
  return { registry, hosts, server: url, root: root ?? {} };
}

/** The server that containerd uses for a registry without any configuration. */
export function defaultServer(registry: string): string {
  if (registry === "docker.io") return "https://registry-1.docker.io";
  const [, host = registry, port] = /^(.*?)(?::(\d+))?$/.exec(registry) ?? [];
  const isLocal = host === "localhost" || host === "[::1]" || /^127(?:\.\d+){3}$/.test(host);
  return `${isLocal && port !== undefined && port !== "443" ? "http" : "https"}://${registry}`;
}

/** The host of hosts.toml for an endpoint, or why it cannot be converted. */
function hostEntry(endpoint: string, tls: ReadonlyMap<string, HostFields>): HostEntry | string {
  const text = endpoint.includes("://") ? endpoint : withScheme(endpoint);
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol)) return "is not an http or https URL";
  if (url.username || url.password)
    return "contains credentials, which hosts.toml does not support";
  if (url.search || url.hash) return "has a query or a fragment";
  const path = /^[a-z]+:\/\/[^/]*(\/.*)?$/i.exec(text)?.[1] ?? "";
  const fields = url.protocol === "http:" ? undefined : tls.get(hostOf(text));
  return {
    url: text,
    ...PULL,
    ...fields,
    // An endpoint's path is used unchanged; hosts.toml appends /v2 unless override_path is set.
    ...(path === "" || path === "/v2" ? {} : { overridePath: true }),
  };
}

/** The scheme that containerd adds, which depends on the host only. */
function withScheme(endpoint: string): string {
  const isHttp = defaultServer(hostOf(endpoint)).startsWith("http://");
  return `${isHttp ? "http" : "https"}://${endpoint}`;
}

function tlsFields(entry: TlsEntry): HostFields {
  return {
    ...(entry.ca === undefined ? {} : { ca: [entry.ca] }),
    ...(entry.certificate === undefined ? {} : { client: [[entry.certificate, entry.key ?? ""]] }),
    ...(entry.skipVerify ? { skipVerify: true } : {}),
  };
}

function tlsObstacles(
  entry: TlsEntry,
  problems: (fields: HostFields) => readonly CertificateProblem[],
): Obstacle[] {
  const at: Position = { file: entry.file, line: entry.line };
  const name = `configs.${JSON.stringify(entry.host)}.tls`;
  const files = [entry.ca, entry.certificate, entry.key].filter((file) => file !== undefined);
  const found: Obstacle[] = files
    .filter((file) => !file.startsWith("/"))
    .map((file) => ({
      code: "tls-relative-path",
      at,
      what: `${name} names ${file}, which is not an absolute path`,
      advice: "write an absolute path: hosts.toml resolves a relative one in its own directory",
    }));
  if (found.length === 0) {
    for (const { file, problem } of problems(tlsFields(entry))) {
      found.push({
        code: problem === "does not exist" ? "tls-missing-file" : "tls-unusable-file",
        at,
        what: `${name} names ${file}, which ${problem}`,
        advice: "put the right file there or remove the entry: with it, every pull fails",
      });
    }
  }
  if ((entry.certificate === undefined) !== (entry.key === undefined)) {
    found.push({
      code: "tls-incomplete-pair",
      at,
      what: `${name} has only one of certificate and key`,
      advice: "set both cert_file and key_file, or neither",
    });
  }
  return found;
}

/** Obstacles for keys that would be lost with the removed tables. */
function unknownKeys(tables: RegistryTables): Obstacle[] {
  return tables.unknown.map((setting) => ({
    code: "key-not-convertible",
    at: { file: setting.file, line: setting.line },
    what: `registry.${setting.path.join(".")} has no counterpart in hosts.toml`,
    advice: "containerd ignores this key too: remove it, then plan again",
  }));
}
