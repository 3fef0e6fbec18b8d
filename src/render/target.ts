import type { CredentialUse } from "../config/access/asked-credentials.ts";
import type { PortableConfig } from "../config/portable-config.ts";
import type { UpstreamName } from "../oci/names.ts";

/** A registry that the cache serves, and its own URL, which a node uses while the cache is down. */
export interface RenderedUpstream {
  readonly name: UpstreamName;
  /** Scheme and host, as written to `server` in a `hosts.toml`. */
  readonly server: string;
  /** The cache's port for this registry alone, if it has one. */
  readonly port?: number;
  /** Whether the cache serves it nowhere else. */
  readonly isAlone?: true;
  /** Whether the cache asks for credentials for any of its repositories. */
  readonly asks?: true;
}

/** What a target's configuration is rendered from. */
export interface RenderInput {
  /** Where nodes reach the cache: scheme, host and port, no path. */
  readonly cache: URL;
  readonly upstreams: readonly RenderedUpstream[];
  /** The cache machine's own address in CIDR notation: `192.168.1.10/24`. */
  readonly address?: string;
  readonly gateway?: string;
  /** The CA certificate that signed the cache's certificate, in PEM; unset for a public CA. */
  readonly ca?: string;
  /** The cache's own configuration, if it was given. */
  readonly config?: PortableConfig;
}

export interface RenderedFile {
  /** Absolute for a file on the node's disk; otherwise the file name to hand to a tool. */
  readonly path: string;
  readonly text: string;
}

/** Instructions for the operator, written as comments into each file whose format has them. */
export interface Notes {
  /** Where the file goes. */
  readonly where: string;
  /** What to run so that the configuration takes effect. */
  readonly apply: string;
  /** Known pitfalls. */
  readonly caveats: readonly string[];
}

/** A runtime, distribution or machine that configuration can be rendered for. */
export interface Target {
  /** As typed on the command line. */
  readonly name: string;
  readonly title: string;
  /** Set if the target runs the cache itself, which needs no `--cache` and no upstreams. */
  readonly isCacheItself?: true;
  readonly notes: Notes;
  /** What clients do where the cache asks for credentials. Absent if there are none. */
  readonly credentials?: { readonly use: CredentialUse; readonly by: string };
  /** @throws RenderError if the target cannot express this input */
  readonly render: (input: RenderInput, notes: Notes) => readonly RenderedFile[];
}

/** The requested configuration cannot be rendered; the message says what to pass instead. */
export class RenderError extends Error {
  override readonly name = "RenderError";
}

/** Columns of a comment line. */
const WIDTH = 96;

/**
 * The lines that tell an operator where a file goes, how to apply it, and what to know about it.
 */
export function noteLines(notes: Notes): string[] {
  return [
    `Where: ${notes.where}`,
    `Apply: ${notes.apply}`,
    ...notes.caveats.map((text) => `Note:  ${text}`),
  ];
}

/** The notes as comments of a format that uses `#` for comments. */
export function header(notes: Notes): string {
  const paragraphs = noteLines(notes).map((line) => comment(line, "       "));
  return `${paragraphs.join("\n")}\n`;
}

/** A paragraph wrapped into comment lines; continuation lines are indented. */
export function comment(text: string, indent = ""): string {
  const lines: string[] = [];
  let line = "#";
  for (const word of text.split(/ (?! )/)) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = `# ${indent}${word}`;
    } else line += ` ${word}`;
  }
  return [...lines, line].join("\n");
}

/** `host:port` as in an image reference; the scheme's default port is omitted. */
export function hostOf(cache: URL): string {
  return cache.host;
}

export function isPlain(cache: URL): boolean {
  return cache.protocol === "http:";
}

/** The CA certificate as a file at `path`; empty if no CA was given. */
export function caFiles(path: string, { ca }: RenderInput): RenderedFile[] {
  return ca === undefined ? [] : [{ path, text: ca }];
}
