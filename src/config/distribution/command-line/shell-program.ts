import { literalOf, type Token, tokenize, type Word } from "./shell-lexer.ts";

/** A statement of a shell script, as far as it matters for the values of variables. */
export type Statement =
  | { readonly command: readonly Word[] }
  /** `words` is undefined for a loop over the script's arguments. */
  | {
      readonly loop: { readonly name: string; readonly words: readonly Word[] | undefined };
      readonly body: readonly Statement[];
    }
  /** Lists of statements of which each may run, once, several times or not at all. */
  | { readonly alternatives: readonly (readonly Statement[])[]; readonly repeats: boolean }
  | { readonly defines: string; readonly body: readonly Statement[] }
  | { readonly document: string; readonly line: number };

/** Deeper nesting of blocks could exhaust the stack. */
const MAX_DEPTH = 32;

/** Parses a script. What is not valid shell is skipped rather than rejected. */
export function parseScript(text: string, firstLine = 1): Statement[] {
  const parser = new Parser(tokenize(text, firstLine));
  const statements: Statement[] = [];
  while (!parser.isAtEnd) statements.push(...parser.statements([]));
  return statements;
}

const SEPARATORS = new Set(["\n", ";", ";;", "&", "|", ")"]);

class Parser {
  readonly #tokens: readonly Token[];
  #position = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#tokens.length;
  }

  /** The statements up to one of the words, which is left; or up to the end. */
  statements(ends: readonly string[]): Statement[] {
    const found: Statement[] = [];
    while (!this.isAtEnd) {
      const token = this.#tokens[this.#position];
      const word = this.#reservedWord();
      if (word !== undefined && ends.includes(word)) return found;
      if (token && "operator" in token && ends.includes(token.operator)) return found;
      found.push(...this.#statement());
      if (this.#skip("&&") || this.#skip("||")) {
        // Whether the rest runs depends on the first command.
        const rest: Statement[] = [];
        do rest.push(...this.#statement());
        while (this.#skip("&&") || this.#skip("||"));
        found.push({ alternatives: [rest], repeats: false });
      }
    }
    return found;
  }

  #statement(): Statement[] {
    const token = this.#tokens[this.#position];
    if (!token) return [];
    if ("document" in token) {
      this.#position += 1;
      return [token];
    }
    if ("operator" in token) {
      this.#position += 1;
      if (token.operator !== "(" && token.operator !== "((") return [];
      return token.operator === "((" ? this.#arithmetic() : this.#block([")"], false);
    }
    if (this.#depth >= MAX_DEPTH) {
      this.#position += 1;
      return [];
    }
    switch (this.#reservedWord()) {
      case "if":
        return this.#branches(["fi"], ["then", "elif", "else"]);
      case "while":
      case "until":
        this.#position += 1;
        return this.#block(["done"], true);
      case "for":
      case "select":
        return this.#for();
      case "case":
        return this.#branches(["esac"], [";;"]);
      case "function":
        this.#position += 1;
        return this.#function();
      case "{":
        return this.#group();
      case "then":
      case "do":
      case "else":
      case "elif":
      case "!":
      case "time":
      // An end without a beginning.
      case "fi":
      case "done":
      case "esac":
      case "}":
        this.#position += 1;
        return [];
      default:
        return this.#isFunction() ? this.#function() : this.#command();
    }
  }

  #nested<Result>(work: () => Result): Result {
    this.#depth += 1;
    try {
      return work();
    } finally {
      this.#depth -= 1;
    }
  }

  #block(ends: readonly string[], repeats: boolean): Statement[] {
    const body = this.#nested(() => this.statements(ends));
    this.#position += 1;
    return [{ alternatives: [body], repeats }];
  }

  #group(): Statement[] {
    this.#position += 1;
    const body = this.#nested(() => this.statements(["}"]));
    this.#position += 1;
    return body;
  }

  /** `((i += 1))`, as a command that changes every variable in it. */
  #arithmetic(): Statement[] {
    const words: Word[] = [{ parts: [{ literal: "let" }], line: 0 }];
    while (!this.isAtEnd) {
      const token = this.#tokens[this.#position];
      this.#position += 1;
      if (token && "operator" in token && token.operator === ")") break;
      if (token && "parts" in token) words.push(token);
    }
    return [{ command: words }];
  }

  #branches(ends: readonly string[], between: readonly string[]): Statement[] {
    this.#position += 1;
    const alternatives: Statement[][] = [];
    while (!this.isAtEnd) {
      alternatives.push(this.#nested(() => this.statements([...ends, ...between])));
      const word = this.#reservedWord();
      this.#position += 1;
      if (word !== undefined && ends.includes(word)) break;
    }
    return [{ alternatives, repeats: false }];
  }

  #for(): Statement[] {
    this.#position += 1;
    const name = this.#takeWord();
    const words: Word[] = [];
    let hasWords = false;
    while (this.#skipSeparator()) {
      // Between the name and `in`, or between the words and `do`.
    }
    if (this.#reservedWord() === "in") {
      hasWords = true;
      this.#position += 1;
      for (let word = this.#takeWord(); word; word = this.#takeWord()) words.push(word);
    }
    while (!this.isAtEnd && this.#reservedWord() !== "do") this.#position += 1;
    this.#position += 1;
    const body = this.#nested(() => this.statements(["done"]));
    this.#position += 1;
    const variable = name && literalOf(name);
    if (variable === undefined) return [{ alternatives: [body], repeats: true }];
    return [{ loop: { name: variable, words: hasWords ? words : undefined }, body }];
  }

  #isFunction(): boolean {
    const [open, close] = this.#tokens.slice(this.#position + 1, this.#position + 3);
    return (
      open !== undefined &&
      "operator" in open &&
      open.operator === "(" &&
      close !== undefined &&
      "operator" in close &&
      close.operator === ")"
    );
  }

  #function(): Statement[] {
    const name = this.#takeWord();
    while (this.#skipSeparator() || this.#skip("(")) {
      // The parentheses, and line breaks before the brace.
    }
    const body = this.#nested(() => this.#statement());
    return [{ defines: (name && literalOf(name)) ?? "", body }];
  }

  #command(): Statement[] {
    const words: Word[] = [];
    for (let word = this.#takeWord(); word; word = this.#takeWord()) words.push(word);
    return [{ command: words }];
  }

  #takeWord(): Word | undefined {
    const token = this.#tokens[this.#position];
    if (!token || !("parts" in token)) return undefined;
    this.#position += 1;
    return token;
  }

  /** The next word, if nothing in it is replaced. */
  #reservedWord(): string | undefined {
    const token = this.#tokens[this.#position];
    return token && "parts" in token ? literalOf(token) : undefined;
  }

  #skip(operator: string): boolean {
    const token = this.#tokens[this.#position];
    if (!token || !("operator" in token) || token.operator !== operator) return false;
    this.#position += 1;
    while (this.#skipNewline()) {
      // The rest of a list may follow in another line.
    }
    return true;
  }

  #skipNewline(): boolean {
    const token = this.#tokens[this.#position];
    if (!token || !("operator" in token) || token.operator !== "\n") return false;
    this.#position += 1;
    return true;
  }

  #skipSeparator(): boolean {
    const token = this.#tokens[this.#position];
    if (!token || !("operator" in token) || !SEPARATORS.has(token.operator)) return false;
    this.#position += 1;
    return true;
  }
}
