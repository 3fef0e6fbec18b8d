import { TomlError, parse } from "smol-toml";
import type { AST } from "toml-eslint-parser";
import { ParseError, getStaticTOMLValue, parseTOML } from "toml-eslint-parser";

export class TomlSyntaxError extends Error {
  override readonly name = "TomlSyntaxError";

  constructor(
    message: string,
    /** From 1. */
    readonly line: number,
    /** From 1. */
    readonly column: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A value with its full path. Inline tables are descended into, arrays are values. */
export interface TomlLeaf {
  readonly path: readonly string[];
  readonly value: unknown;
  readonly line: number;
  readonly column: number;
  readonly node: AST.TOMLKeyValue;
  /** Whether it is inside an inline table or has a dotted key, relative to its table's header. */
  readonly inline: boolean;
}

/** A `[table]` or `[[table]]` header. */
export interface TomlHeader {
  readonly path: readonly string[];
  readonly line: number;
  readonly node: AST.TOMLTable;
}

/** A parsed TOML text with the positions of its parts, so that it can be edited in place. */
export class TomlDocument {
  readonly headers: readonly TomlHeader[];
  readonly leaves: readonly TomlLeaf[];
  /** The whole document as plain values. */
  readonly value: Readonly<Record<string, unknown>>;
  readonly #program: AST.TOMLProgram;
  readonly #empty: { readonly path: readonly string[]; readonly line: number }[] = [];

  /** @throws TomlSyntaxError with line and column. */
  constructor(readonly text: string) {
    try {
      // smol-toml decides what is valid TOML and has the better messages. toml-eslint-parser has the
      // positions.
      this.value = parse(text);
    } catch (cause) {
      if (!(cause instanceof TomlError)) throw cause;
      const [first = ""] = cause.message.split("\n");
      const message = first.replace(/^Invalid TOML document: /, "");
      throw new TomlSyntaxError(message, cause.line, cause.column, { cause });
    }
    try {
      this.#program = parseTOML(text, { tomlVersion: "1.0" });
    } catch (cause) {
      if (!(cause instanceof ParseError)) throw cause;
      throw new TomlSyntaxError(cause.message, cause.lineNumber, cause.column + 1, { cause });
    }
    const headers: TomlHeader[] = [];
    const leaves: TomlLeaf[] = [];
    for (const entry of this.topLevel.body) {
      if (entry.type === "TOMLKeyValue") {
        collect(entry, [], false, leaves, this.#empty);
        continue;
      }
      const path = entry.resolvedKey.map(String);
      headers.push({ path, line: entry.loc.start.line, node: entry });
      if (entry.body.length === 0) this.#empty.push({ path, line: entry.loc.start.line });
      for (const pair of entry.body) collect(pair, path, false, leaves, this.#empty);
    }
    this.headers = headers;
    this.leaves = leaves;
  }

  get topLevel(): AST.TOMLTopLevelTable {
    return this.#program.body[0];
  }

  get comments(): readonly { readonly line: number; readonly text: string }[] {
    return this.#program.comments.map((comment) => ({
      line: comment.loc.start.line,
      text: `#${comment.value}`,
    }));
  }

  leaf(path: readonly string[]): TomlLeaf | undefined {
    return this.leaves.find((leaf) => samePath(leaf.path, path));
  }

  /** Tables without any content, in the order of the text. */
  get emptyTables(): { readonly path: readonly string[]; readonly line: number }[] {
    return this.#empty.filter(
      ({ path }) =>
        this.below(path).length === 0 &&
        !this.#empty.some(
          (other) => other.path.length > path.length && startsWith(other.path, path),
        ),
    );
  }

  /** All values in the table at `path`, at any depth. */
  below(path: readonly string[]): TomlLeaf[] {
    return this.leaves.filter((leaf) => startsWith(leaf.path, path));
  }
}

function collect(
  pair: AST.TOMLKeyValue,
  prefix: readonly string[],
  inline: boolean,
  into: TomlLeaf[],
  empty: { readonly path: readonly string[]; readonly line: number }[],
): void {
  const keys = keysOf(pair);
  const path = [...prefix, ...keys];
  const isInline = inline || keys.length > 1;
  if (pair.value.type === "TOMLInlineTable") {
    if (pair.value.body.length === 0) empty.push({ path, line: pair.loc.start.line });
    for (const inner of pair.value.body) collect(inner, path, true, into, empty);
    return;
  }
  const { line, column } = pair.loc.start;
  const value: unknown = getStaticTOMLValue(pair.value);
  into.push({ path, value, line, column: column + 1, node: pair, inline: isInline });
}

export function keysOf(pair: { readonly key: AST.TOMLKey }): string[] {
  return pair.key.keys.map((key) => (key.type === "TOMLBare" ? key.name : key.value));
}

export function samePath(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && startsWith(a, b);
}

export function startsWith(path: readonly string[], prefix: readonly string[]): boolean {
  return prefix.every((part, index) => path[index] === part);
}
