import type { UpstreamName } from "../oci/names.ts";

/** A registry that the cache serves, and where it really is: asked by a node while the cache is away. */
export interface RenderedUpstream {
  readonly name: UpstreamName;
  /** Scheme and host, as a `hosts.toml` has them under `server`. */
  readonly server: string;
}

/** What configuration is written from. */
export interface RenderInput {
  /** Where nodes reach the cache: scheme, host and port, no path. */
  readonly cache: URL;
  readonly upstreams: readonly RenderedUpstream[];
  /** Of the cache's own machine, with the length of its network's prefix: `192.168.1.10/24`. */
  readonly address?: string;
  readonly gateway?: string;
  /** Of the cache's certificate, in PEM, where it is not among those that everybody trusts. */
  readonly authority?: string;
}

export interface RenderedFile {
  /** Where it goes: absolute on the node's disk, else a name for whoever feeds it to a tool. */
  readonly path: string;
  readonly text: string;
}

/** What somebody has to know who uses a file; written into it where its format has comments. */
export interface Notes {
  readonly where: string;
  readonly restart: string;
  readonly mind: readonly string[];
}

/** A runtime, distribution or machine that configuration can be written for. */
export interface Target {
  /** As it is typed. */
  readonly name: string;
  readonly title: string;
  /** Set where the cache itself is run by it: nothing has to be known of where nodes reach it. */
  readonly isCacheItself?: true;
  readonly notes: Notes;
  /** @throws RenderError where it cannot be told these upstreams at all. */
  readonly render: (input: RenderInput, notes: Notes) => readonly RenderedFile[];
}

/** What was asked for cannot be written; its message says what to ask for instead. */
export class RenderError extends Error {
  override readonly name = "RenderError";
}

const WIDTH = 96;

/** The notes as comments of a format that has `#` for them. */
export function header(notes: Notes): string {
  const sections = [
    `Where: ${notes.where}`,
    `After: ${notes.restart}`,
    ...notes.mind.map((text) => `Mind:  ${text}`),
  ];
  return `${sections.map((section) => comment(section, "       ")).join("\n")}\n`;
}

/** A paragraph as comment lines, those after the first indented. */
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

/** `host:port` as it stands in an image's name; the scheme's own port is left out. */
export function hostOf(cache: URL): string {
  return cache.host;
}

export function isPlain(cache: URL): boolean {
  return cache.protocol === "http:";
}

/** What the authority's file is called wherever its name is free to choose. */
export const AUTHORITY_FILE = "entrepot-ca.pem";

/** A file of the authority, where there is one to be trusted. */
export function authorityAt(path: string, { authority }: RenderInput): RenderedFile[] {
  return authority === undefined ? [] : [{ path, text: authority }];
}
