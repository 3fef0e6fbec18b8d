import type { HostEntry, HostFields } from "../../../config/containerd/hosts-toml.ts";
import { parseUpstreamName } from "../../../oci/names.ts";
import type { Position } from "../../findings.ts";
import type { Obstacle } from "../../plan.ts";
import { hostOf } from "./hosts-file.ts";
import type { Mirror, RegistryTables, TlsEntry } from "../config/registry-tables.ts";

/** What the deprecated pattern says of one registry, in the words of a hosts.toml. */
export interface ConvertedRegistry {
  readonly registry: string;
  /** Its endpoints in their order, without a last one that is the registry itself. */
  readonly hosts: readonly HostEntry[];
  readonly server: string;
  /** TLS of the server. */
  readonly root: HostFields;
}

export interface Conversion {
  /** Registries with an entry of their own, in `mirrors` or in `configs.*.tls`. */
  readonly registries: ReadonlyMap<string, ConvertedRegistry>;
  /** The endpoints of `mirrors."*"`; undefined where there is no such entry. */
  readonly wildcard: readonly HostEntry[] | undefined;
  readonly obstacles: readonly Obstacle[];
  readonly notes: readonly string[];
}

const PULL = { capabilities: ["pull", "resolve"] } as const;

/**
 * Puts `mirrors` and `configs.*.tls` into the words of hosts.toml so that every request goes where
 * it went before (pkg/cri/server/image_pull.go, registryHosts and registryEndpoints, of 1.6).
 *
 * @param exists whether a file is there on the node
 */
export function convert(pattern: RegistryTables, exists: (path: string) => boolean): Conversion {
  const obstacles: Obstacle[] = [];
  const notes: string[] = [];
  const tls = new Map<string, HostFields>();
  for (const entry of pattern.tls) {
    if (entry.host === "*") {
      notes.push(
        `configs."*".tls (${entry.file}:${entry.line}) never had an effect in containerd and goes`,
      );
      continue;
    }
    if (!isRegistry(entry.host)) {
      // Configs were looked up by an endpoint's host: such a name was never found.
      notes.push(
        `configs.${JSON.stringify(entry.host)}.tls (${entry.file}:${entry.line}) is no registry's, never had an effect and goes`,
      );
      continue;
    }
    obstacles.push(...tlsObstacles(entry, exists));
    tls.set(entry.host, tlsFields(entry));
  }
  const registries = new Map<string, ConvertedRegistry>();
  let wildcard: HostEntry[] | undefined;
  for (const mirror of pattern.mirrors) {
    const at = { file: mirror.file, line: mirror.line };
    const fault = mirrorFault(mirror);
    if (fault) {
      obstacles.push({ code: "mirror-not-convertible", at, ...fault });
      continue;
    }
    const endpoints = (mirror.endpoints ?? []).flatMap((endpoint) => {
      const host = hostEntry(endpoint, tls);
      if (typeof host !== "string") return [host];
      obstacles.push({
        code: "endpoint-not-convertible",
        at,
        what: `the endpoint ${JSON.stringify(endpoint)} ${host}`,
        advice: "write it as https://host[:port][/path] or take it out, then plan again",
      });
      return [];
    });
    if (mirror.registry === "*") wildcard = endpoints;
    else registries.set(mirror.registry, registryOf(mirror.registry, endpoints, tls));
  }
  for (const host of tls.keys()) {
    // Its own name as a registry: images may be pulled from a mirror's host directly too. The
    // endpoints of `*` were asked for it first as for any other.
    if (!registries.has(host)) registries.set(host, registryOf(host, wildcard ?? [], tls));
  }
  obstacles.push(...unknownKeys(pattern));
  return { registries, wildcard, obstacles, notes };
}

/** Names become those of directories: `..` in one must not lead elsewhere. */
function isRegistry(name: string): boolean {
  return parseUpstreamName(name) !== undefined;
}

function mirrorFault({
  registry,
  endpoints,
}: Mirror): Pick<Obstacle, "what" | "advice"> | undefined {
  const name = `mirrors.${JSON.stringify(registry)}`;
  if (registry !== "*" && !isRegistry(registry)) {
    const what = `${name} is no registry's name, and no pull ever went by it`;
    return { what, advice: "write host[:port] alone or take it out, then plan again" };
  }
  if (endpoints !== undefined) return undefined;
  const what = `the endpoint of ${name} is no array of strings, and CRI does not start with it`;
  return { what, advice: 'write endpoint = ["https://host[:port]"], then plan again' };
}

function registryOf(
  registry: string,
  endpoints: readonly HostEntry[],
  tls: ReadonlyMap<string, HostFields>,
): ConvertedRegistry {
  const server = defaultServer(registry);
  const last = endpoints.at(-1);
  // An endpoint that is the registry itself stood for the default one; as the last it is `server`.
  const isOwn = last !== undefined && hostOf(last.url) === hostOf(server);
  const hosts = isOwn && !last.overridePath ? endpoints.slice(0, -1) : [...endpoints];
  const own = isOwn && !last.overridePath ? last.url : server;
  const fields = own.startsWith("http://") ? undefined : tls.get(hostOf(server));
  return { registry, hosts, server: own, root: fields ?? {} };
}

/** What containerd asks for a registry where nothing says otherwise. */
export function defaultServer(registry: string): string {
  if (registry === "docker.io") return "https://registry-1.docker.io";
  const [, host = registry, port] = /^(.*?)(?::(\d+))?$/.exec(registry) ?? [];
  const isLocal = host === "localhost" || host === "[::1]" || /^127(?:\.\d+){3}$/.test(host);
  return `${isLocal && port !== undefined && port !== "443" ? "http" : "https"}://${registry}`;
}

/** A host of hosts.toml for an endpoint, or why it cannot be one. */
function hostEntry(endpoint: string, tls: ReadonlyMap<string, HostFields>): HostEntry | string {
  const text = endpoint.includes("://") ? endpoint : withScheme(endpoint);
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol)) return "is no http or https URL";
  if (url.username || url.password) return "holds credentials, which hosts.toml cannot";
  if (url.search || url.hash) return "has a query or a fragment";
  const path = /^[a-z]+:\/\/[^/]*(\/.*)?$/i.exec(text)?.[1] ?? "";
  const fields = url.protocol === "http:" ? undefined : tls.get(hostOf(text));
  return {
    url: text,
    ...PULL,
    ...fields,
    // An endpoint's path was used as it is; hosts.toml appends /v2 unless it is told not to.
    ...(path === "" || path === "/v2" ? {} : { overridePath: true }),
  };
}

/** As containerd has it: by the host alone, whatever its path is, and no name stands for another. */
function withScheme(endpoint: string): string {
  const isPlain = defaultServer(hostOf(endpoint)).startsWith("http://");
  return `${isPlain ? "http" : "https"}://${endpoint}`;
}

function tlsFields(entry: TlsEntry): HostFields {
  return {
    ...(entry.ca === undefined ? {} : { ca: [entry.ca] }),
    ...(entry.certificate === undefined ? {} : { client: [[entry.certificate, entry.key ?? ""]] }),
    ...(entry.skipVerify ? { skipVerify: true } : {}),
  };
}

function tlsObstacles(entry: TlsEntry, exists: (path: string) => boolean): Obstacle[] {
  const at: Position = { file: entry.file, line: entry.line };
  const found: Obstacle[] = [];
  for (const file of [entry.ca, entry.certificate, entry.key]) {
    if (file === undefined) continue;
    if (!file.startsWith("/")) {
      found.push({
        code: "tls-relative-path",
        at,
        what: `configs.${JSON.stringify(entry.host)}.tls names ${file}, which is no absolute path`,
        advice: "write the whole path: a hosts.toml would look for it in its own directory",
      });
    } else if (!exists(file)) {
      found.push({
        code: "tls-missing-file",
        at,
        what: `configs.${JSON.stringify(entry.host)}.tls names ${file}, which does not exist`,
        advice: "put the file there or take the entry out: a missing one fails every pull",
      });
    }
  }
  if ((entry.certificate === undefined) !== (entry.key === undefined)) {
    found.push({
      code: "tls-half-pair",
      at,
      what: `configs.${JSON.stringify(entry.host)}.tls has a certificate without its key, or a key alone`,
      advice: "give both cert_file and key_file, or neither",
    });
  }
  return found;
}

/** Keys that would be lost with the tables that go. */
function unknownKeys(pattern: RegistryTables): Obstacle[] {
  return pattern.unknown.map((setting) => ({
    code: "key-not-convertible",
    at: { file: setting.file, line: setting.line },
    what: `registry.${setting.path.join(".")} has no counterpart in hosts.toml`,
    advice: "containerd does not know it either: take it out, then plan again",
  }));
}
