import type { AST } from "toml-eslint-parser";
import { tomlString } from "../../config/containerd/toml-string.ts";
import { TomlDocument, keysOf, samePath, startsWith } from "./toml-document.ts";

/** The edit is not possible without rewriting more of the text than requested. */
export class TomlEditRefused extends Error {
  override readonly name = "TomlEditRefused";

  constructor(
    message: string,
    /** From 1. */
    readonly line: number,
  ) {
    super(message);
  }
}

/** The replacement of the characters from `start` to `end` by `text`. */
interface Cut {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * Removes a table or a key with everything below it, and leaves every other byte as it is. A line is
 * removed as a whole if nothing else is on it. Comments stay.
 *
 * @throws TomlSyntaxError, TomlEditRefused
 */
export function removeSubtree(text: string, path: readonly string[]): string {
  const document = new TomlDocument(text);
  const cuts: Cut[] = [];
  const remove = (start: number, end: number): void => {
    cuts.push(wholeLine(text, start, end));
  };
  const visit = (pair: AST.TOMLKeyValue, prefix: readonly string[]): void => {
    const here = [...prefix, ...keysOf(pair)];
    if (startsWith(here, path)) {
      if (pair.parent.type === "TOMLInlineTable") cuts.push(cutFromInlineTable(pair.parent, pair));
      else remove(...pair.range);
    } else if (startsWith(path, here) && pair.value.type === "TOMLInlineTable") {
      for (const inner of pair.value.body) visit(inner, here);
    }
  };
  for (const entry of document.topLevel.body) {
    if (entry.type === "TOMLKeyValue") {
      visit(entry, []);
      continue;
    }
    const here = entry.resolvedKey.map(String);
    if (startsWith(here, path)) remove(entry.range[0], headerEnd(text, entry));
    for (const pair of entry.body) visit(pair, here);
  }
  return applyCuts(text, cuts);
}

/**
 * Sets one string in a table with the smallest possible change: replaces the value if the key exists,
 * adds a line below the header if the table exists, and appends a new table otherwise.
 *
 * @throws TomlSyntaxError; TomlEditRefused if the table has a form to which no key can be added safely.
 */
export function setString(
  text: string,
  table: readonly string[],
  key: string,
  value: string,
): string {
  const document = new TomlDocument(text);
  const assignment = `${key} = ${tomlString(value)}`;
  const present = document.leaf([...table, key]);
  if (present) {
    const [start, end] = present.node.value.range;
    return applyCuts(text, [{ start, end, text: tomlString(value) }]);
  }
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const header = document.headers.find((entry) => samePath(entry.path, table));
  if (header) {
    const after = lineEnd(text, headerEnd(text, header.node));
    const first = header.node.body[0];
    const indent = first
      ? indentOf(text, first.range[0])
      : `${indentOf(text, header.node.range[0])}  `;
    return `${text.slice(0, after)}${eol}${indent}${assignment}${text.slice(after)}`;
  }
  const edited = insertWithoutHeader(text, document, table, assignment, eol);
  if (edited !== undefined) return edited;
  const child = document.headers.find((entry) => startsWith(entry.path, table));
  const name = table.map((part) => (/^[\w-]+$/.test(part) ? part : tomlString(part))).join(".");
  if (child) {
    const indent = indentOf(text, child.node.range[0]);
    const at = child.node.range[0] - indent.length;
    const block = `${indent}[${name}]${eol}${indent}  ${assignment}${eol}${eol}`;
    return text.slice(0, at) + block + text.slice(at);
  }
  const gap = text === "" || text.endsWith(`${eol}${eol}`) ? "" : eol;
  const end = text === "" || text.endsWith("\n") ? "" : eol;
  return `${text}${end}${gap}[${name}]${eol}  ${assignment}${eol}`;
}

/** Adds a key to a table that has no header, because it is an inline table or made of dotted keys. */
function insertWithoutHeader(
  text: string,
  document: TomlDocument,
  table: readonly string[],
  assignment: string,
  eol: string,
): string | undefined {
  const scopes = [
    { path: [] as readonly string[], body: pairsOf(document.topLevel.body) },
    ...document.headers.map((header) => ({ path: header.path, body: header.node.body })),
  ];
  for (const { path, body } of scopes) {
    for (const pair of body) {
      const here = [...path, ...keysOf(pair)];
      if (pair.value.type === "TOMLInlineTable" && startsWith(table, here)) {
        if (!samePath(here, table)) {
          throw new TomlEditRefused(
            `${here.join(".")} is an inline table: write it as [${here.join(".")}]`,
            pair.loc.start.line,
          );
        }
        const at = pair.value.range[0] + 1;
        const rest = pair.value.body.length > 0 ? "," : " ";
        return `${text.slice(0, at)} ${assignment}${rest}${text.slice(at)}`;
      }
      if (path.length < table.length && here.length > table.length && startsWith(here, table)) {
        const [last] = pair.key.keys.slice(table.length - path.length - 1);
        const prefix = text.slice(pair.range[0], last?.range[1]);
        const at = lineEnd(text, pair.range[1]);
        const indent = indentOf(text, pair.range[0]);
        return `${text.slice(0, at)}${eol}${indent}${prefix}.${assignment}${text.slice(at)}`;
      }
    }
  }
  return undefined;
}

function pairsOf(body: readonly (AST.TOMLKeyValue | AST.TOMLTable)[]): AST.TOMLKeyValue[] {
  return body.flatMap((entry) => (entry.type === "TOMLKeyValue" ? [entry] : []));
}

function headerEnd(text: string, table: AST.TOMLTable): number {
  const close = table.kind === "array" ? "]]" : "]";
  return text.indexOf(close, table.key.range[1]) + close.length;
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  if (end === -1) return text.length;
  return text[end - 1] === "\r" ? end - 1 : end;
}

function indentOf(text: string, at: number): string {
  const start = text.lastIndexOf("\n", at - 1) + 1;
  return /^[ \t]*/.exec(text.slice(start, at))?.[0] ?? "";
}

function wholeLine(text: string, start: number, end: number): Cut {
  const lineStart = text.lastIndexOf("\n", start - 1) + 1;
  const newline = text.indexOf("\n", end);
  const after = newline === -1 ? text.length : newline + 1;
  const isAlone =
    text.slice(lineStart, start).trim() === "" && text.slice(end, after).trim() === "";
  return isAlone ? { start: lineStart, end: after, text: "" } : { start, end, text: "" };
}

function cutFromInlineTable(table: AST.TOMLInlineTable, pair: AST.TOMLKeyValue): Cut {
  const index = table.body.indexOf(pair);
  const [previous, next] = [table.body[index - 1], table.body[index + 1]];
  if (previous) return { start: previous.range[1], end: pair.range[1], text: "" };
  return { start: pair.range[0], end: next ? next.range[0] : pair.range[1], text: "" };
}

function applyCuts(text: string, cuts: readonly Cut[]): string {
  let result = text;
  let from = text.length + 1;
  for (const cut of [...cuts].sort((a, b) => b.start - a.start)) {
    if (cut.end > from) {
      const line = text.slice(0, cut.start).split("\n").length;
      throw new TomlEditRefused("two changes overlap", line);
    }
    result = result.slice(0, cut.start) + cut.text + result.slice(cut.end);
    from = cut.start;
  }
  return result;
}
