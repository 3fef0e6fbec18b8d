import type { Node, ParseError } from "jsonc-parser";
import { parseTree, printParseErrorCode } from "jsonc-parser";

/** The text is not JSON as RFC 8259 has it, or not an object. */
export class JsonSyntaxError extends Error {
  override readonly name = "JsonSyntaxError";

  constructor(
    message: string,
    /** From 1. */
    readonly line: number,
    readonly column: number,
  ) {
    super(message);
  }
}

/** The parser is recursive, and must not run out of stack. */
const MAX_DEPTH = 500;

/** A JSON object of which lists of strings are changed, and every other byte is left as it is. */
export class JsonDocument {
  readonly #root: Node;

  /**
   * @param text an empty text stands for an empty object
   * @throws JsonSyntaxError
   */
  constructor(readonly text: string) {
    const errors: ParseError[] = [];
    const source = text.trim() === "" ? "{}" : text.replace(/^\uFEFF/, " ");
    const tooDeep = offsetOfDepth(source, MAX_DEPTH);
    if (tooDeep !== undefined)
      throw syntaxError(source, tooDeep, `it is nested more than ${MAX_DEPTH} levels deep`);
    const root = parseTree(source, errors, { disallowComments: true, allowTrailingComma: false });
    const [error] = errors;
    if (error) throw syntaxError(source, error.offset, sentence(printParseErrorCode(error.error)));
    if (root?.type !== "object")
      throw syntaxError(source, root?.offset ?? 0, "it is not an object");
    this.#root = root;
    this.text = text.trim() === "" ? `${source}\n` : text;
  }

  get keys(): readonly string[] {
    return (this.#root.children ?? []).map(({ children: [key] = [] }) => String(key?.value));
  }

  /** The value at a path, of several keys with the same name that of the last one. */
  value(...path: readonly string[]): unknown {
    let node: Node | undefined = this.#root;
    for (const key of path) node = propertyOf(node, key)?.children?.[1];
    return node && valueOf(node);
  }

  has(key: string): boolean {
    return this.#property(key) !== undefined;
  }

  /** The strings of a list, which null stands for too; undefined if there is something else, or no such key. */
  strings(key: string): readonly string[] | undefined {
    const value = this.value(key);
    if (value === null) return [];
    const isList = Array.isArray(value) && value.every((item) => typeof item === "string");
    return isList ? value : undefined;
  }

  /** Where a key is, from 1. */
  lineOf(key: string): number | undefined {
    const node = this.#property(key);
    return node && positionOf(this.text, node.offset).line;
  }

  /** Adds a string to a list as its first element, and the list to the object if it is absent. */
  withFirst(key: string, value: string): JsonDocument {
    const item = JSON.stringify(value);
    const list = this.#list(key);
    if (list === undefined) return this.withList(key, [value]);
    const [first] = list.children ?? [];
    const start = list.offset + 1;
    if (first === undefined) return this.#replace(start, list.offset + list.length - 1, item);
    const gap = this.text.slice(start, first.offset);
    return this.#replace(first.offset, first.offset, `${item},${gap === "" ? " " : gap}`);
  }

  /** Sets a list to these strings, and adds it to the object if it is absent. */
  withList(key: string, values: readonly string[]): JsonDocument {
    const list = this.#property(key)?.children?.[1];
    if (list === undefined) return this.#withProperty(key, values);
    return this.#replace(list.offset, list.offset + list.length, listText(values));
  }

  /** Removes a string from a list, which stays, even if it is empty then. */
  without(key: string, value: string): JsonDocument {
    const items = this.#list(key)?.children ?? [];
    const index = items.findIndex((item) => item.value === value);
    const [item, previous, next] = [items[index], items[index - 1], items[index + 1]];
    if (item === undefined) return this;
    if (next) return this.#replace(item.offset, next.offset, "").without(key, value);
    const start = previous ? previous.offset + previous.length : item.offset;
    return this.#replace(start, item.offset + item.length, "").without(key, value);
  }

  #property(key: string): Node | undefined {
    return propertyOf(this.#root, key);
  }

  #list(key: string): Node | undefined {
    const value = this.#property(key)?.children?.[1];
    return value?.type === "array" ? value : undefined;
  }

  #withProperty(key: string, values: readonly string[]): JsonDocument {
    const { text } = this;
    const property = `${JSON.stringify(key)}: ${listText(values)}`;
    const last = this.#root.children?.at(-1);
    const eol = text.includes("\r\n") ? "\r\n" : "\n";
    if (last === undefined) {
      const { offset, length } = this.#root;
      return this.#replace(offset + 1, offset + length - 1, `${eol}  ${property}${eol}`);
    }
    const before = text.slice(0, last.offset);
    const indent = /\n([ \t]*)$/.exec(before)?.[1];
    const gap = indent === undefined ? " " : `${eol}${indent}`;
    const end = last.offset + last.length;
    return this.#replace(end, end, `,${gap}${property}`);
  }

  #replace(start: number, end: number, text: string): JsonDocument {
    return new JsonDocument(this.text.slice(0, start) + text + this.text.slice(end));
  }
}

/** Where a text first has so many open brackets, whether or not it is valid. */
function offsetOfDepth(text: string, limit: number): number | undefined {
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[[{\]}]/gs)) {
    if (token === "[" || token === "{") depth += 1;
    else if (token === "]" || token === "}") depth -= 1;
    if (depth > limit) return index;
  }
  return undefined;
}

/** The last property of this name, which is the one in force if there are several. */
function propertyOf(node: Node | undefined, key: string): Node | undefined {
  return node?.type === "object"
    ? node.children?.findLast((property) => property.children?.[0]?.value === key)
    : undefined;
}

function listText(values: readonly string[]): string {
  return `[${values.map((value) => JSON.stringify(value)).join(", ")}]`;
}

function valueOf(node: Node): unknown {
  if (node.type === "array") return (node.children ?? []).map(valueOf);
  if (node.type !== "object") return node.value;
  const entries = (node.children ?? []).flatMap(({ children: [key, value] = [] }) =>
    key && value ? [[String(key.value), valueOf(value)] as const] : [],
  );
  return Object.fromEntries(entries);
}

function positionOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}

function syntaxError(text: string, offset: number, message: string): JsonSyntaxError {
  const { line, column } = positionOf(text, offset);
  return new JsonSyntaxError(message, line, column);
}

/** `CommaExpected` as `comma expected`. */
function sentence(code: string): string {
  return code.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter}`).toLowerCase();
}
