import type { HostEntry, HostFields } from "../../../config/containerd/hosts-toml.ts";
import {
  OWNERSHIP_MARK,
  hostTable,
  renderHostsToml,
  serverAsHost,
} from "../../../config/containerd/hosts-toml.ts";
import { tomlString } from "../../../config/containerd/toml-string.ts";
import { TomlDocument } from "../../files/toml-document.ts";
import type { HostsFile } from "./hosts-file.ts";
import { readHostsFile } from "./hosts-file.ts";
import type { Traits } from "../traits.ts";

export interface MergedHosts {
  readonly text: string;
  /** What is not as it was, in sentences. */
  readonly notes: readonly string[];
  /** Whether every byte that stood there is still there. */
  readonly isPlain: boolean;
}

export interface MergeInput {
  readonly text: string;
  /** Where the file stands, and the file's own name for messages. */
  readonly directory: string;
  readonly registry: string;
  readonly ours: readonly HostEntry[];
  /** The cache, which is one of `ours` or taken out: the file may have named it already. */
  readonly cache?: string;
  /** Hosts from elsewhere (an old `mirrors`) that come behind the file's own. */
  readonly more: readonly HostEntry[];
  readonly server: string | undefined;
  readonly traits: Traits;
  /** Whether a certificate's file is there and holds one. */
  readonly isUsable: (path: string) => boolean;
  /** Whether the file will stand in another directory, where its relative paths mean nothing. */
  readonly moves: boolean;
}

/**
 * Takes a hosts.toml in that somebody else wrote: our hosts come first, theirs stay behind with
 * comments and certificates. A sound file keeps every byte and gets lines added; one that containerd
 * could not read, or would read wrongly, is written anew from what it meant.
 */
export function mergeHosts(adoption: MergeInput): MergedHosts {
  const { text, directory, traits, ours } = adoption;
  const file = readHostsFile(text, directory, traits);
  const names = new Set([...ours, ...adoption.more].map((host) => host.url));
  if (adoption.cache !== undefined) names.add(adoption.cache);
  const isPlain =
    !adoption.moves &&
    adoption.more.length === 0 &&
    text.trim() !== "" &&
    file.defects.every((defect) => HARMLESS.has(defect.kind)) &&
    file.hosts.every((host) => !names.has(bare(host.url)) && isSound(host, adoption)) &&
    isSound(file.root, adoption);
  return isPlain ? insert(adoption, file) : rewrite(adoption, file);
}

/** `http://m:5000/` asks the same as `http://m:5000`. */
function bare(url: string): string {
  return url.replace(/\/+$/, "");
}

const MIRROR_DIAL_TIMEOUT = "5s";

/**
 * Another's mirror in a file that is written here. Without a timeout, one that has vanished from the
 * network costs 30 s per request; it may be further away than the cache.
 */
export function withDialTimeout(host: HostEntry): HostEntry {
  return { ...host, dialTimeout: host.dialTimeout ?? MIRROR_DIAL_TIMEOUT };
}

/** Kinds that cost nothing behind a working mirror, so that they may stay as they are. */
const HARMLESS: ReadonlySet<string> = new Set([
  "unknown-key",
  "no-scheme",
  "http-with-tls",
  "doubled-v2",
  "bare-override",
  "ca-and-skip-verify",
]);

function insert(adoption: MergeInput, file: HostsFile): MergedHosts {
  const { text, ours, server } = adoption;
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const head = [
    `# ${OWNERSHIP_MARK}`,
    "# adopted: what stood here before follows, behind the cache",
  ];
  if (file.server === undefined && server !== undefined)
    head.push(`server = ${tomlString(server)}`);
  const blocks = ours.flatMap((host) => hostTable(host).concat(""));
  // With their endings: a file may hold both kinds, and every byte of it stays.
  const lines = text.split(/(?<=\n)/);
  const document = new TomlDocument(text);
  const first = document.headers[0];
  // Comments right above a header belong to it.
  let at =
    first === undefined ? lines.length : text.slice(0, first.node.range[0]).split("\n").length - 1;
  const added = (some: readonly string[]): string[] => some.map((line) => line + eol);
  if (first !== undefined) {
    while (at > 0 && lines[at - 1]?.trim().startsWith("#")) at -= 1;
  } else {
    blocks.pop();
    blocks.unshift(...(text.endsWith("\n") ? [""] : ["", ""]));
  }
  const result = [...added(head), ...lines.slice(0, at), ...added(blocks), ...lines.slice(at)];
  return { text: result.join(""), notes: [], isPlain: true };
}

function rewrite(adoption: MergeInput, file: HostsFile): MergedHosts {
  const { ours, more, registry, traits } = adoption;
  const text = adoption.text.replace(/^\uFEFF/, "");
  const notes: string[] = [];
  const comments = [OWNERSHIP_MARK, ...keptComments(text, file, notes)];
  const names = new Set(ours.map((host) => host.url));
  if (adoption.cache !== undefined) names.add(adoption.cache);
  const hosts: HostEntry[] = [...ours];
  for (const host of [...file.hosts, ...file.dropped, ...more]) {
    if (names.has(host.url) || names.has(bare(host.url))) continue;
    names.add(host.url);
    if (!isSound(host, adoption)) {
      const files = tlsFiles(host).filter((path) => !adoption.isUsable(path));
      notes.push(
        `${host.url} is left out: ${files.join(", ")} cannot be read (it failed every pull)`,
      );
      comments.push(`left out, since ${files.join(", ")} cannot be read: ${host.url}`);
      continue;
    }
    const known = withKnownCapabilities(host, traits);
    // An empty list would mean all of them.
    if (known.capabilities?.length === 0 && host.capabilities?.length !== 0) {
      notes.push(`${host.url} is left out: this containerd knows none of its capabilities`);
      comments.push(`left out, for capabilities that this containerd does not know: ${host.url}`);
      continue;
    }
    hosts.push(withDialTimeout(known));
  }
  const server = serverOf(adoption, file, notes);
  let root = withKnownCapabilities(file.root, traits);
  if (!isSound(root, adoption)) {
    const { ca: _ca, client: _client, ...rest } = root;
    root = rest;
    notes.push(`the server's certificates are left out: they cannot be read`);
  }
  if (file.dropped.length > 0) {
    const urls = file.dropped.map((host) => host.url).join(", ");
    notes.push(`${urls}: hosts in inline tables become plain tables, which this containerd reads`);
  }
  if (hosts.length === 0 && server !== undefined) hosts.push(serverAsHost(server, root));
  const isWrong =
    file.defects.some((defect) => !HARMLESS.has(defect.kind)) ||
    [...file.hosts, file.root].some((fields) => !isSound(fields, adoption));
  const why = isWrong ? "containerd reads it wrongly" : "hosts of it have another place now";
  notes.push(`${registry}: the hosts.toml is written anew, since ${why}`);
  return {
    text: renderHostsToml({ comments, root, hosts, ...(server === undefined ? {} : { server }) }),
    notes,
    isPlain: false,
  };
}

function keptComments(text: string, file: HostsFile, notes: string[]): string[] {
  if (text.trim() === "") return [];
  const syntax = file.defects.find((defect) => defect.kind === "syntax");
  if (syntax?.kind === "syntax") {
    notes.push(`line ${syntax.line} is no TOML (${syntax.message}): its text stays as a comment`);
    const lines = text.trimEnd().split(/\r?\n/);
    return [
      `not readable (line ${syntax.line}: ${syntax.message}):`,
      ...lines.map((line) => `  ${line}`),
    ];
  }
  return new TomlDocument(text).comments
    .map((comment) => comment.text.slice(1).trim())
    .filter((comment) => comment !== OWNERSHIP_MARK);
}

function serverOf(adoption: MergeInput, file: HostsFile, notes: string[]): string | undefined {
  const misplaced = file.defects.find((defect) => defect.kind === "server-in-host");
  if (file.server === undefined && misplaced?.kind === "server-in-host") {
    notes.push(
      `server = ${tomlString(misplaced.server)} moves out of [host.${tomlString(misplaced.url)}]`,
    );
    return misplaced.server;
  }
  if (file.defects.some((defect) => defect.kind === "hub-server")) return adoption.server;
  return file.server ?? adoption.server;
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

function isSound(fields: HostFields, adoption: MergeInput): boolean {
  return tlsFiles(fields).every(adoption.isUsable);
}

export function tlsFiles(fields: HostFields): string[] {
  const pairs = (fields.client ?? []).flat();
  return [...(fields.ca ?? []), ...pairs].filter((path) => path !== "");
}
