import {
  type CollectionTag,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type LineCounter,
  type Node,
  type Pair,
  type ScalarTag,
  visit,
  type YAMLMap,
} from "yaml";
import { ConfigError, type Problem, quote, sortProblems } from "./problems.ts";
import { parseDocuments, parseOnlyDocument, TOO_DEEP, type YamlOptions } from "./yaml-tokens.ts";

/** The keys and list indexes that lead from the root of a document to a value. */
export type Path = readonly PropertyKey[];

/** Enough for any real file, too few for a "billion laughs" attack. */
const MAX_ALIASES = 100;

/** Far more than the schema needs. Deeper nesting could exhaust the stack of recursive code. */
const MAX_DEPTH = 64;

/** One mistake can make the parser report thousands of errors. */
const MAX_SYNTAX_PROBLEMS = 100;

/** A parsed YAML document with the position of each value. */
export class YamlSource {
  readonly value: unknown;
  readonly #document: Document;
  readonly #file: string;
  readonly #lines: LineCounter;
  readonly #pairs = new WeakMap<YAMLMap, ReadonlyMap<string | undefined, Pair>>();
  #hasTags = false;

  /**
   * @param parsed one document of a text that has several
   * @throws ConfigError if the text is not a single, unambiguous YAML document
   */
  constructor(file: string, text: string, parsed?: { document: Document; lines: LineCounter }) {
    this.#file = file;
    const { document, lines } = parsed ?? parseOnlyDocument(file, text, PARSE_OPTIONS);
    this.#lines = lines;
    this.#document = document;
    const problems = this.#syntaxProblems(text);
    if (problems.length === 0) problems.push(...this.#keyProblems());
    if (problems.length > 0) throw new ConfigError(firstOfEachLine(problems));
    try {
      this.value = this.#document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (cause) {
      const message = "its aliases (*name) expand to too many values: write the values out";
      throw new ConfigError([{ file, message }], { cause });
    }
  }

  /**
   * Parses all documents of a text, and omits empty ones.
   *
   * @throws ConfigError if a document is invalid
   */
  static all(file: string, text: string, options: YamlOptions = {}): YamlSource[] {
    const { documents, lines } = parseDocuments(file, text, { ...PARSE_OPTIONS, ...options });
    if (documents.length === 0) return [new YamlSource(file, text)];
    return documents
      .filter(({ contents, errors }) => errors.length > 0 || !isEmpty(contents))
      .map((document) => new YamlSource(file, text, { document, lines }));
  }

  /**
   * Parses a document whose unquoted scalars keep their text, as programs in Go read them into
   * strings: 0123 and 1e3 do not become numbers. An empty value, ~ and null are null. Merge keys
   * (`<<`) are applied.
   *
   * @param tags tags without a meaning to YAML, which {@link tagAt} finds again
   * @throws ConfigError if the text is not a single, unambiguous YAML document
   */
  static ofTexts(file: string, text: string, tags: readonly string[] = []): YamlSource {
    const customTags = ["null" as const, ...tags.flatMap(meaninglessTags)];
    const options = { schema: "failsafe", customTags, merge: true } as const;
    const [source, second] = YamlSource.all(file, text, options);
    if (source) source.#hasTags = tags.some((tag) => text.includes(tag));
    if (!second) return source ?? new YamlSource(file, "");
    const message = "a second document begins here: a file may have only one";
    throw new ConfigError([second.problem([], message)]);
  }

  /** The tag of the value at a path, such as `!reset`. */
  tagAt(path: Path): string | undefined {
    // Hardly any file has one.
    const { node } = this.#hasTags ? this.#find(path, false) : {};
    return isNode(node) ? node.tag : undefined;
  }

  /** Whether the value at a path is a scalar without quotes. */
  isPlain(path: Path): boolean {
    const { node } = this.#find(path, false);
    return isScalar(node) && node.type === "PLAIN";
  }

  /** A problem at the position of a value, or of its nearest ancestor if there is no such value. */
  problem(path: Path, message: string): Problem {
    return this.#at(this.#find(path, false).offset, message);
  }

  /** A problem at the position of the last key of a path. */
  keyProblem(path: Path, message: string): Problem {
    return this.#at(this.#find(path, true).offset, message);
  }

  #at(offset: number, message: string): Problem {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(1, line), column: Math.max(1, col), message };
  }

  /** The value at a path, if there is one, and the position of what is nearest to it. */
  #find(path: Path, wantsKey: boolean): { readonly node: unknown; readonly offset: number } {
    // Typed as unknown: the contents of an empty document are null, unlike its type says.
    let node: unknown = this.#document.contents;
    let offset = startOf(node) ?? 0;
    for (const [depth, segment] of path.entries()) {
      if (isAlias(node)) node = node.resolve(this.#document);
      if (isMap(node)) {
        const pair = this.#pairsOf(node).get(String(segment));
        if (!pair) return { node: undefined, offset };
        offset = startOf(pair.key) ?? offset;
        node = pair.value;
        const isWantedKey = wantsKey && depth === path.length - 1;
        // For an empty value, the position of its key is more useful than the one behind the colon.
        if (!isWantedKey && !isEmpty(node)) offset = startOf(node) ?? offset;
      } else if (isSeq(node)) {
        node = node.items[Number(segment)];
        offset = startOf(node) ?? offset;
      } else return { node: undefined, offset };
    }
    return { node, offset };
  }

  /** The pairs of a mapping by their keys, made once: a file may have thousands of services. */
  #pairsOf(map: YAMLMap): ReadonlyMap<string | undefined, Pair> {
    let pairs = this.#pairs.get(map);
    if (!pairs) {
      // Of several with the same key, which is an error, the first one counts.
      pairs = new Map(map.items.toReversed().map((pair) => [keyText(pair), pair]));
      this.#pairs.set(map, pairs);
    }
    return pairs;
  }

  #syntaxProblems(text: string): Problem[] {
    const found = [...this.#document.errors, ...this.#document.warnings].slice(
      0,
      MAX_SYNTAX_PROBLEMS,
    );
    return found.map(({ code, message, pos }) => {
      const start = pos[0] - this.#lines.linePos(pos[0]).col + 1;
      const line = text.slice(start, start + 200).split("\n", 1)[0] ?? "";
      return this.#at(pos[0], explainSyntaxError(code, message, line));
    });
  }

  /** Reports duplicate and invalid keys, aliases without an anchor, and nesting that is too deep. */
  #keyProblems(): Problem[] {
    const problems: Problem[] = [];
    const report = (node: unknown, message: string) => {
      problems.push(this.#at(startOf(node) ?? 0, message));
    };
    let aliases = 0;
    const checkDepth = (node: unknown, ancestors: readonly unknown[]) => {
      if (ancestors.length < MAX_DEPTH) return undefined;
      report(node, TOO_DEEP);
      return visit.BREAK;
    };
    visit(this.#document, {
      Seq: (_, list, ancestors) => checkDepth(list, ancestors),
      Map: (_, map, ancestors) => {
        const first = new Map<string, Pair>();
        for (const pair of map.items) {
          const text = keyText(pair);
          if (text === undefined) report(pair.key, "a key must be a plain word");
          else if (text === "__proto__") report(pair.key, `${quote(text)} cannot be a key`);
          else if (!first.has(text)) first.set(text, pair);
          else {
            const { line } = this.#lines.linePos(startOf(first.get(text)?.key) ?? 0);
            report(pair.key, `the key ${quote(text)} is already in line ${line}`);
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

/** A tag on values of all kinds, which it leaves as they are. */
function meaninglessTags(tag: string): (CollectionTag | ScalarTag)[] {
  return [
    { tag, resolve: (text: string) => text },
    { tag, collection: "map", resolve: (map) => map },
    { tag, collection: "seq", resolve: (list) => list },
  ];
}

const PARSE_OPTIONS = {
  prettyErrors: false,
  // The library compares each key with every other, which takes a minute for a file of 1 MiB.
  // #keyProblems() finds duplicate keys in one pass.
  uniqueKeys: false,
  // Warnings become problems with a position instead of console output.
  logLevel: "error",
} as const;

function explainSyntaxError(code: string, message: string, line: string): string {
  const address = /:\s+(\[[0-9a-f:.]*\]:\d+)\s*(?:#.*)?$/i.exec(line)?.[1];
  if (address !== undefined) return `an address in brackets needs quotes: "${address}"`;
  if (code === "TAB_AS_INDENT") return "a tab indents this line: YAML allows spaces only";
  if (["BAD_INDENT", "BLOCK_AS_IMPLICIT_KEY", "MULTILINE_IMPLICIT_KEY"].includes(code)) {
    return "the indentation is wrong: the entries of a mapping or list must start in the same column";
  }
  if (code === "MULTIPLE_DOCS") return "a second document begins here: a file may have only one";
  if (message.startsWith("Maximum call stack")) return TOO_DEEP;
  return `this is not valid YAML: ${message}`;
}

/** Keeps the first problem of each line: one mistake causes follow-up errors in the same line. */
function firstOfEachLine(problems: readonly Problem[]): Problem[] {
  const sorted = sortProblems(problems);
  return sorted.filter((problem, index) => problem.line !== sorted[index - 1]?.line);
}

/** The text of a key; undefined if the key is a list or mapping. */
function keyText(pair: Pair): string | undefined {
  const value: unknown = isScalar(pair.key) ? pair.key.value : pair.key;
  if (value === null) return "";
  // The parser's own value of a merge key.
  if (typeof value === "symbol") return "<<";
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

function isEmpty(node: unknown): boolean {
  return isScalar(node) && node.value === null && !node.source;
}

function startOf(node: unknown): number | undefined {
  // Every node of a parsed document has a range, although the type declares it optional.
  return (node as Partial<Node> | null | undefined)?.range?.[0];
}
