import { GlobMatcher, type GlobPart } from "./glob-matcher.ts";

/** Each wildcard adds a place in the pattern where a name may be, and so to the work for each character. */
const MAX_WILDCARDS = 6;
const MAX_LENGTH = 256;

/**
 * A glob pattern for repositories or tags in the configuration. As in `.gitignore`, `*` matches
 * within a path component and `**` across components.
 */
export class GlobPattern {
  readonly text: string;
  readonly #matcher: GlobMatcher;

  private constructor(text: string, parts: readonly GlobPart[]) {
    this.text = text;
    this.#matcher = new GlobMatcher(parts);
  }

  /**
   * Compiles a pattern. Returns the reason if the text is invalid.
   *
   * @param alphabet what it may contain apart from wildcards: `text` for names of other kinds, which have
   * colons and more
   */
  static compile(text: string, alphabet: "name" | "text" = "name"): GlobPattern | string {
    if (text === "") return "is empty: write a name, or ** to match everything";
    if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
    const wildcards = text.match(/\*+/g)?.length ?? 0;
    if (wildcards > MAX_WILDCARDS) return `has more than ${MAX_WILDCARDS} wildcards`;
    const parts = parse(text, alphabet === "name" ? TOKEN : TEXT_TOKEN);
    return typeof parts === "string" ? parts : new GlobPattern(text, parts);
  }

  /** The original text, for the log line about a changed configuration. */
  toJSON(): string {
    return this.text;
  }

  matches(name: string): boolean {
    return this.#matcher.matches(name);
  }
}

export function matchesAny(patterns: readonly GlobPattern[] | undefined, name: string): boolean {
  return patterns?.some((pattern) => pattern.matches(name)) ?? false;
}

/** `**`, `*`, `?`, `[abc]`, `{a,b}` and literal characters. Group 1: an invalid character. */
const TOKEN = /\*\*|[*?]|\[!?[\w.-]+\]|\{[\w.,/*-]+\}|[\w./-]|(.)/gs;

/** As `TOKEN`, with what URIs, mail addresses and names of accounts have besides. */
const TEXT_TOKEN = /\*\*|[*?]|\[!?[\w.:@+-]+\]|\{[\w.,:@+/*-]+\}|[\w./:@+=~%-]|(.)/gs;

function parse(text: string, pattern: RegExp): GlobPart[] | string {
  const parts: GlobPart[] = [];
  for (const [token, other] of text.matchAll(pattern)) {
    if (other !== undefined) return explainCharacter(other);
    const part = token.length > 1 && token !== "**" ? parseGroup(token) : parseToken(token);
    if (!part) return "has a range in [ ] whose end is before its start";
    parts.push(part);
  }
  return parts;
}

const isAny = (): boolean => true;
const isNoSlash = (character: string): boolean => character !== "/";

function parseToken(token: string): GlobPart {
  if (token === "**") return { kind: "many", accepts: isAny };
  if (token === "*") return { kind: "many", accepts: isNoSlash };
  if (token === "?") return { kind: "one", accepts: isNoSlash };
  return { kind: "one", accepts: (character) => character === token };
}

function parseGroup(token: string): GlobPart | undefined {
  const inner = token.slice(1, -1);
  if (token.startsWith("[")) {
    const accepts = parseClass(inner);
    return accepts && { kind: "one", accepts };
  }
  const choices = inner
    .split(",")
    .map((choice) => (choice.match(/\*\*|./g) ?? []).map((part) => parseToken(part)));
  return { kind: "choice", choices };
}

/** The characters of `[a-z0-9_]` or `[!a-z]`; `undefined` for a range whose end is before its start. */
function parseClass(inner: string): ((character: string) => boolean) | undefined {
  const isNegated = inner.startsWith("!");
  const ranges = [...(isNegated ? inner.slice(1) : inner).matchAll(/(.)-(.)|(.)/g)].map(
    ([, first, last, single]): readonly [first: string, last: string] => [
      first ?? single ?? "",
      last ?? single ?? "",
    ],
  );
  if (ranges.some(([first, last]) => last < first)) return undefined;
  return (character) =>
    character !== "/" &&
    ranges.some(([first, last]) => first <= character && character <= last) !== isNegated;
}

function explainCharacter(character: string): string {
  if (character === "[" || character === "{") {
    return `has a ${character} that is not closed, or has invalid content`;
  }
  if (character === ":" || character === "@") {
    return "names a tag or a digest: patterns apply to whole repositories, since any image is also available by its digest";
  }
  return `has ${JSON.stringify(character)}, which no name contains: the wildcards are * ? ** [a-z] and {a,b}`;
}
