/** More wildcards would allow slow matching (backtracking) for names that a client chooses. */
const MAX_WILDCARDS = 6;
const MAX_LENGTH = 256;

/**
 * A glob pattern for repositories or tags in the configuration. As in `.gitignore`, `*` matches
 * within a path component and `**` across components.
 */
export class GlobPattern {
  readonly text: string;
  readonly #expression: RegExp;

  private constructor(text: string, expression: RegExp) {
    this.text = text;
    this.#expression = expression;
  }

  /** Compiles a pattern. Returns the reason if the text is invalid. */
  static compile(text: string): GlobPattern | string {
    if (text === "") return "is empty: write a name, or ** to match everything";
    if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
    const wildcards = text.match(/\*+/g)?.length ?? 0;
    if (wildcards > MAX_WILDCARDS) return `has more than ${MAX_WILDCARDS} wildcards`;
    const translated = translate(text);
    return typeof translated === "string"
      ? translated
      : new GlobPattern(text, translated.expression);
  }

  /** The original text, for the log line about a changed configuration. */
  toJSON(): string {
    return this.text;
  }

  matches(name: string): boolean {
    return this.#expression.test(name);
  }
}

export function matchesAny(patterns: readonly GlobPattern[] | undefined, name: string): boolean {
  return patterns?.some((pattern) => pattern.matches(name)) ?? false;
}

/** `**`, `*`, `?`, `[abc]`, `{a,b}` and literal characters. Group 1: an invalid character. */
const TOKEN = /\*\*|[*?]|\[!?[\w.-]+\]|\{[\w.,/*-]+\}|[\w./-]|(.)/gs;

function translate(text: string): { expression: RegExp } | string {
  let source = "";
  for (const [token, other] of text.matchAll(TOKEN)) {
    if (other !== undefined) return explainCharacter(other);
    source += token.length > 1 && token !== "**" ? translateGroup(token) : translateToken(token);
  }
  try {
    return { expression: new RegExp(`^(?:${source})$`) };
  } catch {
    return "has a range in [ ] whose end is before its start";
  }
}

function translateToken(token: string): string {
  if (token === "**") return ".*";
  if (token === "*") return "[^/]*";
  if (token === "?") return "[^/]";
  return token.replaceAll(/[.\-/]/g, String.raw`\$&`);
}

function translateGroup(token: string): string {
  const inner = token.slice(1, -1);
  if (token.startsWith("[")) {
    return inner.startsWith("!") ? `[^/${inner.slice(1)}]` : `[${inner}]`;
  }
  return `(?:${inner.replaceAll(/\*\*|[*?.\-/]/g, translateToken).replaceAll(",", "|")})`;
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
