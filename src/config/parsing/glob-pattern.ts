/** More wildcards than anybody needs would make matching slow for names that a client chooses. */
const MAX_WILDCARDS = 6;
const MAX_LENGTH = 256;

/** A pattern of an owner's for repositories or tags, as in `.gitignore`: `*` stays within a component, `**` does not. */
export class Pattern {
  readonly text: string;
  readonly #expression: RegExp;

  private constructor(text: string, expression: RegExp) {
    this.text = text;
    this.#expression = expression;
  }

  /** A pattern, or why the text is none. */
  static compile(text: string): Pattern | string {
    if (text === "") return "is empty: write a name, or ** for all";
    if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
    const wildcards = text.match(/\*+/g)?.length ?? 0;
    if (wildcards > MAX_WILDCARDS) return `has more than ${MAX_WILDCARDS} wildcards`;
    const source = translate(text);
    return typeof source === "string" ? source : new Pattern(text, source.expression);
  }

  /** As it was written: so it stands in what is logged of a changed configuration. */
  toJSON(): string {
    return this.text;
  }

  matches(name: string): boolean {
    return this.#expression.test(name);
  }
}

export function matchesAny(patterns: readonly Pattern[] | undefined, name: string): boolean {
  return patterns?.some((pattern) => pattern.matches(name)) ?? false;
}

/** `**`, `*`, `?`, `[abc]`, `{a,b}`, and what stands for itself. */
const TOKEN = /\*\*|[*?]|\[!?[\w.-]+\]|\{[\w.,/*-]+\}|[\w./-]|(.)/gs;

function translate(text: string): { expression: RegExp } | string {
  let source = "";
  for (const [token, other] of text.matchAll(TOKEN)) {
    if (other !== undefined) return problemOf(other);
    source += token.length > 1 && token !== "**" ? group(token) : single(token);
  }
  try {
    return { expression: new RegExp(`^(?:${source})$`) };
  } catch {
    return "has a range in [ ] that runs backwards";
  }
}

function single(token: string): string {
  if (token === "**") return ".*";
  if (token === "*") return "[^/]*";
  if (token === "?") return "[^/]";
  return token.replaceAll(/[.\-/]/g, String.raw`\$&`);
}

function group(token: string): string {
  const inner = token.slice(1, -1);
  if (token.startsWith("[")) {
    return inner.startsWith("!") ? `[^/${inner.slice(1)}]` : `[${inner}]`;
  }
  return `(?:${inner.replaceAll(/\*\*|[*?.\-/]/g, single).replaceAll(",", "|")})`;
}

function problemOf(character: string): string {
  if (character === "[" || character === "{") {
    return `has a ${character} that is never closed, or nothing that can be used in it`;
  }
  if (character === ":" || character === "@") {
    return "names a tag or a digest: what holds for a repository holds for all in it, or it could be had by its digest";
  }
  return `has ${JSON.stringify(character)}, which is in no name: * ? ** [a-z] and {a,b} are wildcards`;
}
