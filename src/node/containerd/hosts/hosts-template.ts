import { tomlString } from "../../files/toml-document.ts";
import type { HostEntry, HostFields } from "./hosts-file.ts";

/** The first line of every hosts.toml that this tool writes from nothing. */
export const OWNERSHIP_MARK = "# managed by entrepot";

export interface HostsTree {
  /** Comment lines for the head of the file, without `#`. */
  readonly comments: readonly string[];
  /** Left out for `_default` alone, where a server would be that of every registry. */
  readonly server?: string;
  /** Fields of the server. */
  readonly root: HostFields;
  readonly hosts: readonly HostEntry[];
}

/**
 * A hosts.toml in the only form that every containerd reads alike: `server` before any header, and
 * one plain `[host."URL"]` header each. 2.x visits headers only, so that a general TOML writer,
 * which may write hosts inline, would lose them without a word.
 */
export function renderHosts(tree: HostsTree): string {
  const lines = tree.comments.map((line) => (line === "" ? "#" : `# ${line}`));
  if (tree.server !== undefined) lines.push(`server = ${tomlString(tree.server)}`);
  lines.push(...fieldLines(tree.root));
  const headers = headerLines(tree.root);
  if (headers.length > 0) lines.push("", "[header]", ...headers.map((line) => `  ${line}`));
  for (const host of tree.hosts) {
    if (lines.length > 0) lines.push("");
    lines.push(...hostBlock(host));
  }
  return `${lines.join("\n")}\n`;
}

/** The lines of one host's table. */
export function hostBlock(host: HostEntry): string[] {
  const headers = headerLines(host);
  return [
    `[host.${tomlString(host.url)}]`,
    ...fieldLines(host).map((line) => `  ${line}`),
    ...(headers.length > 0 ? [`  [host.${tomlString(host.url)}.header]`] : []),
    ...headers.map((line) => `    ${line}`),
  ];
}

function headerLines({ headers }: HostFields): string[] {
  return Object.entries(headers ?? {}).map(
    ([name, values]) => `${tomlString(name)} = ${list(values)}`,
  );
}

const DIAL_TIMEOUT = "5s";

/**
 * Somebody's mirror in a file that is written here. Without a bound one that vanished from the
 * network costs 30 s a request; it may be further away than the cache.
 */
export function withDialTimeout(host: HostEntry): HostEntry {
  return { ...host, dialTimeout: host.dialTimeout ?? DIAL_TIMEOUT };
}

/** Before 1.7.32 a file without any host is an error: the server is then named twice. */
export function itself(server: string, root: HostFields): HostEntry {
  return { url: server, capabilities: ["pull", "resolve"], ...root };
}

function fieldLines(fields: HostFields): string[] {
  return [
    fields.capabilities && `capabilities = ${list(fields.capabilities)}`,
    fields.ca && `ca = ${list(fields.ca)}`,
    fields.client && `client = [${fields.client.map((pair) => list(pair)).join(", ")}]`,
    fields.skipVerify !== undefined && `skip_verify = ${fields.skipVerify}`,
    fields.overridePath !== undefined && `override_path = ${fields.overridePath}`,
    // A string: a number is an error from 2.0.7 on; older ones ignore the key.
    fields.dialTimeout !== undefined && `dial_timeout = ${tomlString(fields.dialTimeout)}`,
  ].filter((line) => typeof line === "string");
}

function list(values: readonly string[]): string {
  return `[${values.map(tomlString).join(", ")}]`;
}
