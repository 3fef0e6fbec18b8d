import { interpolate, type Lookup } from "./interpolation.ts";

/** A variable of an env file. A name alone has no value. */
export interface EnvEntry {
  readonly name: string;
  readonly value: string | undefined;
  readonly line: number;
}

/**
 * Reads an env file as Compose does: `NAME=VALUE`, `export NAME=VALUE`, values in quotes that may
 * have several lines, and comments. Values in single quotes are literal; in others, variables are
 * substituted, also those of earlier lines.
 */
export function parseEnvFile(text: string, outer: Lookup): EnvEntry[] {
  const entries: EnvEntry[] = [];
  const known = new Map<string, string>();
  const lookup: Lookup = (name) => known.get(name) ?? outer(name);
  const entry =
    /^[^\S\n]*(?:export[^\S\n]+)?([A-Za-z_][\w.-]*)(?:[^\S\n]*[=:][^\S\n]*(?:'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|([^\n]*))|[^\S\n]*$)/gm;
  const lines = text.replaceAll("\r\n", "\n");
  let line = 1;
  let position = 0;
  for (const match of lines.matchAll(entry)) {
    const [, name = "", single, double, plain] = match;
    line += lines.slice(position, match.index).split("\n").length - 1;
    position = match.index;
    const isNameAlone = single === undefined && double === undefined && plain === undefined;
    const raw =
      double?.replaceAll(/\\([\s\S])/g, unescape) ?? plain?.replace(/(?:^|\s)#.*$/, "").trim();
    const value = single ?? (raw === undefined ? undefined : interpolate(raw, lookup));
    entries.push({ name, value: isNameAlone ? undefined : value, line });
    if (value !== undefined) known.set(name, value);
  }
  return entries;
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", $: "$$" };

function unescape(_: string, char: string): string {
  return ESCAPES[char] ?? char;
}
