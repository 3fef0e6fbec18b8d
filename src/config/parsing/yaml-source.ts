import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  parseDocument,
  visit,
} from "yaml";
import { ConfigError, type Problem, quote, sortProblems } from "./problems.ts";

/** Keys and list positions from the top of the document down. */
export type Path = readonly PropertyKey[];

/** How often aliases may repeat content: enough for people, too little for a "billion laughs". */
const MAX_ALIASES = 100;

/** Far more than the schema needs; deeper, all that walks through it would exhaust the stack. */
const MAX_DEPTH = 64;

/** One mistake can make a parser complain thousands of times. */
const LOOKED_AT = 100;

/** A YAML text that was read, and where in it each value stands. */
export class YamlSource {
  readonly value: unknown;
  readonly #document: Document;
  readonly #file: string;
  readonly #lines: LineCounter;

  /** @throws ConfigError where the text is no single, unambiguous YAML document. */
  constructor(file: string, text: string, one?: { document: Document; lines: LineCounter }) {
    this.#file = file;
    this.#lines = one?.lines ?? new LineCounter();
    this.#document = one?.document ?? parseDocument(text, optionsWith(this.#lines));
    const problems = this.#syntaxProblems(text);
    if (problems.length === 0) problems.push(...this.#keyProblems());
    if (problems.length > 0) throw new ConfigError(firstOfEachLine(problems));
    try {
      this.value = this.#document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (cause) {
      const message = "its aliases (*name) expand to too much: write the values out";
      throw new ConfigError([{ file, message }], { cause });
    }
  }

  /**
   * All documents of a text, those without content left out.
   *
   * @throws ConfigError
   */
  static all(file: string, text: string): YamlSource[] {
    const lines = new LineCounter();
    const documents = parseAllDocuments(text, optionsWith(lines));
    // Of a text without anything in it, the library says that it has no document.
    if (!Array.isArray(documents)) return [new YamlSource(file, text)];
    return documents
      .filter(({ contents, errors }) => errors.length > 0 || !isEmpty(contents))
      .map((document) => new YamlSource(file, text, { document, lines }));
  }

  /** Places a message at a value; where there is none, at its nearest ancestor. */
  problem(path: Path, message: string): Problem {
    return this.#at(this.#find(path, false), message);
  }

  /** Places a message at the key that ends a path. */
  keyProblem(path: Path, message: string): Problem {
    return this.#at(this.#find(path, true), message);
  }

  #at(offset: number, message: string): Problem {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(1, line), column: Math.max(1, col), message };
  }

  #find(path: Path, wantsKey: boolean): number {
    // The document's type promises contents that an empty one has not.
    let node: unknown = this.#document.contents;
    let offset = startOf(node) ?? 0;
    for (const [depth, segment] of path.entries()) {
      if (isAlias(node)) node = node.resolve(this.#document);
      if (isMap(node)) {
        const pair = node.items.find((item) => keyText(item) === String(segment));
        if (!pair) break;
        offset = startOf(pair.key) ?? offset;
        node = pair.value;
        const isWantedKey = wantsKey && depth === path.length - 1;
        // An empty value's place is behind the colon, which helps nobody.
        if (!isWantedKey && !isEmpty(node)) offset = startOf(node) ?? offset;
      } else if (isSeq(node)) {
        node = node.items[Number(segment)];
        offset = startOf(node) ?? offset;
      } else break;
    }
    return offset;
  }

  #syntaxProblems(text: string): Problem[] {
    const found = [...this.#document.errors, ...this.#document.warnings].slice(0, LOOKED_AT);
    return found.map(({ code, message, pos }) => {
      const start = pos[0] - this.#lines.linePos(pos[0]).col + 1;
      const written = text.slice(start, start + 200).split("\n", 1)[0] ?? "";
      return this.#at(pos[0], explain(code, message, written));
    });
  }

  /** Keys that stand twice, are no plain words, or cannot be keys; aliases of nothing. */
  #keyProblems(): Problem[] {
    const problems: Problem[] = [];
    const report = (node: unknown, message: string) => {
      problems.push(this.#at(startOf(node) ?? 0, message));
    };
    let aliases = 0;
    const checkDepth = (node: unknown, ancestors: readonly unknown[]) => {
      if (ancestors.length < MAX_DEPTH) return undefined;
      report(node, "it is nested too deeply");
      return visit.BREAK;
    };
    visit(this.#document, {
      Seq: (_, list, ancestors) => checkDepth(list, ancestors),
      Map: (_, map, ancestors) => {
        const first = new Map<string, Pair>();
        for (const pair of map.items) {
          const text = keyText(pair);
          if (text === undefined) report(pair.key, "a key has to be a plain word");
          else if (text === "__proto__") report(pair.key, `${quote(text)} cannot be a key`);
          else if (!first.has(text)) first.set(text, pair);
          else {
            const { line } = this.#lines.linePos(startOf(first.get(text)?.key) ?? 0);
            report(pair.key, `the key ${quote(text)} stands in line ${line} already`);
          }
        }
        return checkDepth(map, ancestors);
      },
      Alias: (_, alias) => {
        aliases += 1;
        if (aliases > MAX_ALIASES) {
          report(alias, `more than ${MAX_ALIASES} aliases (*name): write the values out`);
          return visit.BREAK;
        }
        if (alias.resolve(this.#document) !== undefined) return undefined;
        report(alias, `*${alias.source} has no anchor &${alias.source} before it`);
        return undefined;
      },
    });
    return problems;
  }
}

function optionsWith(lineCounter: LineCounter) {
  return {
    lineCounter,
    prettyErrors: false,
    // The library compares every key with every other: a minute for a file of 1 MiB.
    // #keyProblems() does it in one pass.
    uniqueKeys: false,
    // What it would warn of on the console is reported with its place here.
    logLevel: "error",
  } as const;
}

function explain(code: string, message: string, line: string): string {
  const address = /:\s+(\[[0-9a-f:.]*\]:\d+)\s*(?:#.*)?$/i.exec(line)?.[1];
  if (address !== undefined) return `an address in brackets needs quotes: "${address}"`;
  if (code === "TAB_AS_INDENT") return "a tab indents this line: YAML allows spaces only";
  if (["BAD_INDENT", "BLOCK_AS_IMPLICIT_KEY", "MULTILINE_IMPLICIT_KEY"].includes(code)) {
    return "the indentation is off here: what belongs together begins in one column";
  }
  if (code === "MULTIPLE_DOCS") return "a second document begins here: one file holds one";
  if (message.startsWith("Maximum call stack")) return "it is nested too deeply";
  return `this is not valid YAML: ${message}`;
}

/** One mistake makes a YAML parser complain of much that follows in its line. */
function firstOfEachLine(problems: readonly Problem[]): Problem[] {
  const sorted = sortProblems(problems);
  return sorted.filter((problem, index) => problem.line !== sorted[index - 1]?.line);
}

/** A key as it is in the value, where every key is a text; undefined where it is a list or mapping. */
function keyText(pair: Pair): string | undefined {
  const value: unknown = isScalar(pair.key) ? pair.key.value : pair.key;
  if (value === null) return "";
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

function isEmpty(node: unknown): boolean {
  return isScalar(node) && node.value === null && !node.source;
}

function startOf(node: unknown): number | undefined {
  // Every node of a parsed document has a range; the type says so only of some.
  return (node as Partial<Node> | null | undefined)?.range?.[0];
}
