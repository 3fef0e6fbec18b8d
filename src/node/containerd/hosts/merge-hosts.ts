import type { HostEntry, HostFields } from "../../../config/containerd/hosts-toml.ts";
import {
  OWNERSHIP_MARK,
  hostTable,
  renderHostsToml,
  serverAsHost,
} from "../../../config/containerd/hosts-toml.ts";
import { tomlString } from "../../../config/containerd/toml-string.ts";
import { TomlDocument } from "../../files/toml-document.ts";
import type { Traits } from "../traits.ts";
import type { CertificateProblem } from "./certificates.ts";
import type { HostsFile } from "./hosts-file.ts";
import { readHostsFile } from "./hosts-file.ts";
import { CHANGE_ADVICE, UNWIRED_MARK } from "./own-hosts.ts";

export interface MergedHosts {
  readonly text: string;
  /** What differs from the original file, in sentences. */
  readonly notes: readonly string[];
  /** Whether every byte of the original file is still there. */
  readonly isUnchanged: boolean;
}

export interface MergeInput {
  /** The content of the foreign hosts.toml. */
  readonly text: string;
  /** The file's directory. */
  readonly directory: string;
  readonly registry: string;
  /** Hosts that come first: the cache, or none. */
  readonly cacheHosts: readonly HostEntry[];
  /** The cache's URL, also if it is not in `cacheHosts`: the file may name it already. */
  readonly cache?: string;
  /** Hosts from elsewhere, such as deprecated `mirrors`, that come after the file's own. */
  readonly otherHosts: readonly HostEntry[];
  readonly server: string | undefined;
  readonly traits: Traits;
  /** Why the certificates and keys of a host cannot be loaded. */
  readonly problems: (fields: HostFields) => readonly CertificateProblem[];
  /** Whether the merged file goes to another directory, where relative paths do not resolve. */
  readonly moves: boolean;
}

/**
 * Merges a foreign hosts.toml: our hosts come first, and the file's own hosts follow, with its comments
 * and certificates. A valid file keeps every byte and gets lines added. A file that containerd cannot
 * read, or reads differently than it was meant, is rewritten from its content.
 */
export function mergeHosts(input: MergeInput): MergedHosts {
  const { text, directory, traits, cacheHosts } = input;
  const file = readHostsFile(text, directory, traits);
  const urls = new Set([...cacheHosts, ...input.otherHosts].map((host) => host.url));
  if (input.cache !== undefined) urls.add(input.cache);
  const canInsert =
    !input.moves &&
    input.otherHosts.length === 0 &&
    text.trim() !== "" &&
    file.defects.every((defect) => HARMLESS.has(defect.kind)) &&
    file.hosts.every((host) => !urls.has(trimSlashes(host.url)) && isUsable(host, input)) &&
    isUsable(file.root, input);
  return canInsert ? insert(input, file) : rewrite(input, file);
}

/** `http://m:5000/` is the same host as `http://m:5000`. */
function trimSlashes(url: string): string {
  return url.replace(/\/+$/, "");
}

const MIRROR_DIAL_TIMEOUT = "5s";

/**
 * A foreign mirror in a file that is written here. Without a timeout, one that is no longer on the
 * network costs 30 s per request. It may be further away than the cache, whose timeout is shorter.
 */
export function withDialTimeout(host: HostEntry): HostEntry {
  return { ...host, dialTimeout: host.dialTimeout ?? MIRROR_DIAL_TIMEOUT };
}

/** Defects that do no harm after a working cache, so that they may stay. */
const HARMLESS: ReadonlySet<string> = new Set([
  "unknown-key",
  "no-scheme",
  "http-with-tls",
  "doubled-v2",
  "bare-override",
  "ca-and-skip-verify",
]);

const MERGED = "merged: the previous content follows, after the cache";
const PREVIOUS = "comments of the previous file:";

/** Comments that this program wrote about an earlier state of a file: they may no longer be true. */
const OWN_COMMENTS: ReadonlySet<string> = new Set([
  OWNERSHIP_MARK,
  UNWIRED_MARK,
  CHANGE_ADVICE,
  MERGED,
  PREVIOUS,
]);
const OWN_REASON = /^left out, because .*: (?:https?:\/\/)?\S+$/;

function insert(input: MergeInput, file: HostsFile): MergedHosts {
  const { text, cacheHosts, server } = input;
  // Without the cache there is nothing to add, and a comment about it would not be true.
  if (cacheHosts.length === 0) return { text, notes: [], isUnchanged: true };
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const head = [`# ${OWNERSHIP_MARK}`, `# ${MERGED}`];
  if (file.server === undefined && server !== undefined)
    head.push(`server = ${tomlString(server)}`);
  const tables = cacheHosts.flatMap((host) => hostTable(host).concat(""));
  // Lines keep their endings: a file may have both kinds, and every byte of it stays.
  const lines = text.split(/(?<=\n)/);
  const document = new TomlDocument(text);
  const first = document.headers[0];
  let at =
    first === undefined ? lines.length : text.slice(0, first.node.range[0]).split("\n").length - 1;
  const withEol = (added: readonly string[]): string[] => added.map((line) => line + eol);
  if (first !== undefined) {
    // Comments right above a header belong to it.
    while (at > 0 && lines[at - 1]?.trim().startsWith("#")) at -= 1;
  } else {
    tables.pop();
    tables.unshift(...(text.endsWith("\n") ? [""] : ["", ""]));
  }
  const merged = [...withEol(head), ...lines.slice(0, at), ...withEol(tables), ...lines.slice(at)];
  return { text: merged.join(""), notes: [], isUnchanged: true };
}

function rewrite(input: MergeInput, file: HostsFile): MergedHosts {
  const { cacheHosts, otherHosts, registry, traits } = input;
  const text = input.text.replace(/^\uFEFF/, "");
  const notes: string[] = [];
  const mark = cacheHosts.length > 0 ? OWNERSHIP_MARK : UNWIRED_MARK;
  const comments = [mark, ...originalComments(text, file, notes)];
  const urls = new Set(cacheHosts.map((host) => host.url));
  if (input.cache !== undefined) urls.add(input.cache);
  const hosts: HostEntry[] = [...cacheHosts];
  for (const host of [...file.hosts, ...file.dropped, ...otherHosts]) {
    if (urls.has(host.url) || urls.has(trimSlashes(host.url))) continue;
    urls.add(host.url);
    if (!isUsable(host, input)) {
      const why = input.problems(host).map(({ file: path, problem }) => `${path} ${problem}`);
      notes.push(`${host.url} is left out, because ${why.join(", ")}: every pull failed`);
      comments.push(`left out, because ${why.join(", ")}: ${host.url}`);
      continue;
    }
    const known = withKnownCapabilities(host, traits);
    // An empty list would mean all capabilities.
    if (known.capabilities?.length === 0 && host.capabilities?.length !== 0) {
      notes.push(`${host.url} is left out: this containerd supports none of its capabilities`);
      comments.push(
        `left out, because this containerd supports none of its capabilities: ${host.url}`,
      );
      continue;
    }
    hosts.push(withDialTimeout(known));
  }
  const server = serverOf(input, file, notes);
  let root = withKnownCapabilities(file.root, traits);
  if (!isUsable(root, input)) {
    const { ca: _ca, client: _client, ...rest } = root;
    root = rest;
    const why = input.problems(file.root).map(({ file: path, problem }) => `${path} ${problem}`);
    notes.push(`the server's certificates are left out, because ${why.join(", ")}`);
  }
  if (file.dropped.length > 0) {
    const inline = file.dropped.map((host) => host.url).join(", ");
    notes.push(`${inline}: written as plain [host] tables, which this containerd reads`);
  }
  if (hosts.length === 0 && server !== undefined) hosts.push(serverAsHost(server, root));
  const isInvalid =
    file.defects.some((defect) => !HARMLESS.has(defect.kind)) ||
    [...file.hosts, file.root].some((fields) => !isUsable(fields, input));
  const why = isInvalid
    ? "containerd does not read it as it was meant"
    : "its hosts move to another file or position";
  notes.push(`${registry}: the hosts.toml is rewritten, because ${why}`);
  return {
    text: renderHostsToml({ comments, root, hosts, ...(server === undefined ? {} : { server }) }),
    notes,
    isUnchanged: false,
  };
}

function originalComments(text: string, file: HostsFile, notes: string[]): string[] {
  if (text.trim() === "") return [];
  const syntax = file.defects.find((defect) => defect.kind === "syntax");
  if (syntax?.kind === "syntax") {
    notes.push(
      `line ${syntax.line} is not valid TOML (${syntax.message}): the text stays as a comment`,
    );
    const lines = text.trimEnd().split(/\r?\n/);
    return [
      `not readable (line ${syntax.line}: ${syntax.message}):`,
      ...lines.map((line) => `  ${line}`),
    ];
  }
  const comments = new TomlDocument(text).comments
    .map((comment) => comment.text.slice(1).trim())
    .filter((comment) => !OWN_COMMENTS.has(comment) && !OWN_REASON.test(comment));
  return comments.length > 0 ? [PREVIOUS, ...comments] : [];
}

function serverOf(input: MergeInput, file: HostsFile, notes: string[]): string | undefined {
  const misplaced = file.defects.find((defect) => defect.kind === "server-in-host");
  if (file.server === undefined && misplaced?.kind === "server-in-host") {
    notes.push(
      `server = ${tomlString(misplaced.server)} moves out of [host.${tomlString(misplaced.url)}]`,
    );
    return misplaced.server;
  }
  if (file.defects.some((defect) => defect.kind === "hub-server")) return input.server;
  return file.server ?? input.server;
}

function withKnownCapabilities<T extends HostFields>(host: T, traits: Traits): T {
  if (host.capabilities === undefined) return host;
  const known = host.capabilities.filter(
    (name) =>
      ["pull", "resolve", "push"].includes(name.toLowerCase()) ||
      (traits.knowsReferrers && name.toLowerCase() === "referrers"),
  );
  return { ...host, capabilities: known };
}

/** Whether containerd can load every certificate that the fields name. */
function isUsable(fields: HostFields, input: MergeInput): boolean {
  return input.problems(fields).length === 0;
}
