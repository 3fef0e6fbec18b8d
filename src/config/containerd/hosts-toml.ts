import { tomlString } from "./toml-string.ts";

/**
 * First comment of every hosts.toml by which entrepot points a registry at the cache. By it,
 * `entrepot node apply` recognises a file that `entrepot render` wrote: see `readOwnHosts` in
 * `node/containerd/hosts/own-hosts.ts`.
 */
export const OWNERSHIP_MARK = "managed by entrepot";

/**
 * `dial_timeout` of the cache. Without one, containerd waits 30 s per request for a cache whose machine
 * is off. containerd before 2.0.7 ignores the key and waits the 30 s all the same.
 */
export const CACHE_DIAL_TIMEOUT = "1s";

/** The file with the cache's CA certificate, in the directory of config.toml. */
export const CA_FILE_NAME = "entrepot-ca.pem";

/** Fields of a `[host."URL"]` table, and of the root, where they apply to `server`. */
export interface HostFields {
  /** Absent means all of them; an empty list means the same to containerd. */
  readonly capabilities?: readonly string[];
  /** Absolute paths of PEM files. */
  readonly ca?: readonly string[];
  /** Pairs of certificate and key; an empty key means that the certificate's file holds both. */
  readonly client?: readonly (readonly [certificate: string, key: string])[];
  readonly skipVerify?: boolean;
  readonly overridePath?: boolean;
  /** A Go duration such as `1s`. */
  readonly dialTimeout?: string;
  readonly headers?: Readonly<Record<string, readonly string[]>>;
}

export interface HostEntry extends HostFields {
  readonly url: string;
  /** Line of its table in the file it was read from, from 1. */
  readonly line?: number;
}

/** The content of one hosts.toml. */
export interface HostsToml {
  /** Comment lines at the top of the file, without `#`. */
  readonly comments: readonly string[];
  /** Absent only in `_default`, where it would be the server of every registry. */
  readonly server?: string;
  /** Fields of the server. */
  readonly root: HostFields;
  /** In the order in which containerd tries them. */
  readonly hosts: readonly HostEntry[];
}

/**
 * Renders a hosts.toml in the one form that every containerd from 1.6 on reads alike: `server` before
 * any table header, and one plain `[host."URL"]` header per host. It is a template and not a TOML
 * serializer because containerd 2.x takes the hosts from the table headers only (getSortedHosts) and
 * drops hosts in inline tables or dotted keys without a message.
 */
export function renderHostsToml({ comments, server, root, hosts }: HostsToml): string {
  const lines = comments.map((line) => (line === "" ? "#" : `# ${line}`));
  if (server !== undefined) lines.push(`server = ${tomlString(server)}`);
  lines.push(...fieldLines(root));
  const headers = headerLines(root);
  if (headers.length > 0) lines.push("", "[header]", ...headers.map((line) => `  ${line}`));
  for (const host of hosts) {
    if (lines.length > 0) lines.push("");
    lines.push(...hostTable(host));
  }
  return `${lines.join("\n")}\n`;
}

/** The lines of one `[host."URL"]` table. */
export function hostTable(host: HostEntry): string[] {
  const headers = headerLines(host);
  return [
    `[host.${tomlString(host.url)}]`,
    ...fieldLines(host).map((line) => `  ${line}`),
    ...(headers.length > 0 ? [`  [host.${tomlString(host.url)}.header]`] : []),
    ...headers.map((line) => `    ${line}`),
  ];
}

export interface CacheHostOptions {
  /** Scheme, host and port, without a trailing slash. */
  readonly url: string;
  /** Absolute path of the cache's CA certificate, unless nodes trust the cache anyway. */
  readonly caFile?: string | undefined;
  /** A Go duration; `CACHE_DIAL_TIMEOUT` unless given. */
  readonly dialTimeout?: string | undefined;
}

/** The cache as a host: without `push`, which containerd would otherwise try there first. */
export function cacheHost({ url, caFile, dialTimeout }: CacheHostOptions): HostEntry {
  return {
    url,
    capabilities: ["pull", "resolve"],
    ...(caFile === undefined ? {} : { ca: [caFile] }),
    dialTimeout: dialTimeout ?? CACHE_DIAL_TIMEOUT,
  };
}

/**
 * The server as the only host, for a file that has no other: before 1.7.32, containerd rejects a
 * hosts.toml without any `[host]`.
 */
export function serverAsHost(server: string, root: HostFields): HostEntry {
  return { url: server, capabilities: ["pull", "resolve"], ...root };
}

function headerLines({ headers }: HostFields): string[] {
  return Object.entries(headers ?? {}).map(
    ([name, values]) => `${tomlString(name)} = ${list(values)}`,
  );
}

function fieldLines(fields: HostFields): string[] {
  return [
    fields.capabilities && `capabilities = ${list(fields.capabilities)}`,
    fields.ca && `ca = ${list(fields.ca)}`,
    fields.client && `client = [${fields.client.map((pair) => list(pair)).join(", ")}]`,
    fields.skipVerify !== undefined && `skip_verify = ${fields.skipVerify}`,
    fields.overridePath !== undefined && `override_path = ${fields.overridePath}`,
    // A string: containerd rejects a number from 2.0.7 on, and ignored the key before.
    fields.dialTimeout !== undefined && `dial_timeout = ${tomlString(fields.dialTimeout)}`,
  ].filter((line) => typeof line === "string");
}

function list(values: readonly string[]): string {
  return `[${values.map(tomlString).join(", ")}]`;
}
