import {
  Composer,
  type CST,
  type Document,
  type DocumentOptions,
  Lexer,
  LineCounter,
  type ParseOptions,
  Parser,
  type SchemaOptions,
  YAMLParseError,
} from "yaml";
import { ConfigError } from "./problems.ts";

export const TOO_DEEP = "the nesting is too deep";

/** Far more brackets inside of each other than a valid file has. More take the parser seconds. */
const MAX_BRACKETS = 512;

/** Far more than a file of manifests has. Each takes time, even if it is empty. */
const MAX_DOCUMENTS = 1000;

const TOO_MANY_DOCUMENTS = `more than ${MAX_DOCUMENTS} documents: split the file before`;

/** Enough for thousands of services. Unlike a size, it bounds the time that parsing takes. */
const MAX_TOKENS = 300_000;

/** What the lexer puts before a document, before a scalar, and where a flow collection is not closed. */
const DOCUMENT = "\u0002";
const SCALAR = "\u001F";
const FLOW_END = "\u0018";

/** A text before its values are resolved, which is most of the work of parsing. */
interface YamlTokens {
  readonly text: string;
  readonly tokens: readonly CST.Token[];
  readonly lines: LineCounter;
}

export interface ParsedDocuments {
  readonly documents: readonly Document[];
  readonly lines: LineCounter;
}

export type YamlOptions = ParseOptions & DocumentOptions & SchemaOptions;

/** Several formats in turn parse the same text, with options of their own. */
let latest: WeakRef<YamlTokens> | undefined;

/**
 * Parses all documents of a text; none if it has no content.
 *
 * @throws ConfigError if there are too many, or the nesting is too deep
 */
export function parseDocuments(file: string, text: string, options: YamlOptions): ParsedDocuments {
  const { tokens, lines } = tokensOf(file, text);
  return { documents: [...new Composer(options).compose(tokens)], lines };
}

/** Parses a text that should be one document. A second one is among its errors. */
export function parseOnlyDocument(
  file: string,
  text: string,
  options: YamlOptions,
): { readonly document: Document; readonly lines: LineCounter } {
  const { tokens, lines } = tokensOf(file, text);
  const [first, second] = new Composer(options).compose(tokens, true, text.length);
  // The composer was told to return one in any case.
  if (!first) throw new Error("the YAML composer returned no document");
  if (second) {
    const [start] = second.range;
    first.errors.push(new YAMLParseError([start, start + 1], "MULTIPLE_DOCS", ""));
  }
  return { document: first, lines };
}

/** Whether a text has more tokens than that. It is not parsed. */
export function hasMoreTokens(text: string, limit: number): boolean {
  let count = 0;
  for (const _ of new Lexer().lex(text)) {
    count += 1;
    if (count > limit) return true;
  }
  return false;
}

function tokensOf(file: string, text: string): YamlTokens {
  const known = latest?.deref();
  if (known?.text === text) return known;
  const lines = new LineCounter();
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  for (const lexeme of lexemesOf(file, text)) tokens.push(...parser.next(lexeme));
  tokens.push(...parser.end());
  const result = { text, tokens, lines };
  latest = new WeakRef(result);
  return result;
}

/** Finds what is too much before the parser, which takes ten times as long. */
function lexemesOf(file: string, text: string): string[] {
  const lexemes: string[] = [];
  let offset = 0;
  let documents = 0;
  let depth = 0;
  let isScalar = false;
  const expectAtMost = (count: number, limit: number, message: string): void => {
    if (count <= limit) return;
    const before = text.slice(0, offset).split("\n");
    const column = (before.at(-1) ?? "").length + 1;
    throw new ConfigError([{ file, line: before.length, column, message }]);
  };
  for (const lexeme of new Lexer().lex(text)) {
    lexemes.push(lexeme);
    expectAtMost(lexemes.length, MAX_TOKENS, "too many keys and values: split the file before");
    if (lexeme === DOCUMENT || lexeme === FLOW_END) depth = 0;
    else if (lexeme !== SCALAR) {
      // The text of a scalar may look like any other lexeme.
      if (!isScalar) {
        if (lexeme === "---") documents += 1;
        else if (lexeme === "[" || lexeme === "{") depth += 1;
        else if (lexeme === "]" || lexeme === "}") depth -= 1;
        expectAtMost(depth, MAX_BRACKETS, TOO_DEEP);
        expectAtMost(documents, MAX_DOCUMENTS, TOO_MANY_DOCUMENTS);
      }
      offset += lexeme.length;
    }
    isScalar = lexeme === SCALAR;
  }
  return lexemes;
}
