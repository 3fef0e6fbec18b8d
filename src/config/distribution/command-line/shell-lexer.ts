import { endOfBrackets } from "./shell-brackets.ts";

/** A piece of a word: text that stands for itself, or an expression such as `$DATA` or `$(id)`. */
export type Part =
  | { readonly literal: string }
  | { readonly expression: string; readonly isQuoted: boolean; readonly line: number };

/** A word of a shell command, before its expressions are replaced. */
export interface Word {
  readonly parts: readonly Part[];
  readonly line: number;
  /** The words in the parentheses of an assignment `NAME=(…)`. */
  readonly list?: readonly Word[];
}

export type Token =
  | Word
  | { readonly operator: string; readonly line: number }
  /** The text of a here-document. */
  | { readonly document: string; readonly line: number };

interface HereDocument {
  readonly end: string;
  readonly hasTabs: boolean;
}

/** Deeper nesting of parentheses could exhaust the stack. */
const MAX_DEPTH = 32;

/** Splits a script into tokens as a shell does. Nothing in it is replaced or run. */
export function tokenize(text: string, firstLine = 1, depth = 0): Token[] {
  return new Lexer(text, firstLine, depth).tokens();
}

class Lexer {
  readonly #text: string;
  readonly #tokens: Token[] = [];
  readonly #depth: number;
  #position = 0;
  #line: number;
  #documents: HereDocument[] = [];

  constructor(text: string, firstLine: number, depth: number) {
    this.#text = text;
    this.#line = firstLine;
    this.#depth = depth;
  }

  tokens(): Token[] {
    while (this.#position < this.#text.length) this.#token();
    return this.#tokens;
  }

  #token(): void {
    const rest = this.#text.slice(this.#position, this.#position + 3);
    const [char = ""] = rest;
    if (char === "\n") {
      this.#operator("\n");
      this.#line += 1;
      for (const document of this.#documents.splice(0)) this.#hereDocument(document);
    } else if (/\s/.test(char)) this.#position += 1;
    else if (/^\\\r?\n/.test(rest)) {
      this.#position += rest[1] === "\r" ? 3 : 2;
      this.#line += 1;
    } else if (char === "#") this.#position = this.#endOfLine();
    else if (char === "<" || char === ">" || rest.startsWith("&>")) this.#redirection();
    else if (/[;&|()]/.test(char)) this.#operator(/^(?:;;|&&|\|\||\(\()/.exec(rest)?.[0] ?? char);
    else {
      const word = this.#word();
      // The number of a file descriptor belongs to the redirection behind it.
      const isDescriptor =
        /[<>]/.test(this.#text[this.#position] ?? "") && /^\d$/.test(literalOf(word) ?? "");
      if (!isDescriptor) this.#tokens.push(word);
    }
  }

  #operator(operator: string): void {
    this.#tokens.push({ operator, line: this.#line });
    this.#position += operator.length;
  }

  #endOfLine(): number {
    const end = this.#text.indexOf("\n", this.#position);
    return end < 0 ? this.#text.length : end;
  }

  /** Skips a redirection with its file. A here-document begins after the end of the line. */
  #redirection(): void {
    const operator = /^(?:<<<|<<-?|&>>?|>>|[<>]&|>\||[<>])/.exec(
      this.#text.slice(this.#position, this.#position + 3),
    )?.[0];
    this.#position += operator?.length ?? 1;
    if (this.#text[this.#position] === "(") {
      // `<(command)` stands for the name of a file.
      const start = this.#position - 1;
      this.#position = endOfBrackets(this.#text, this.#position);
      const expression = this.#text.slice(start, this.#position);
      this.#tokens.push({
        parts: [{ expression, isQuoted: true, line: this.#line }],
        line: this.#line,
      });
      this.#line += expression.split("\n").length - 1;
      return;
    }
    while (/[ \t]/.test(this.#text[this.#position] ?? "")) this.#position += 1;
    if (/^(?:[\s;&|()<>]|$)/.test(this.#text[this.#position] ?? "")) return;
    const word = this.#word();
    if (operator?.startsWith("<<") && operator !== "<<<") {
      this.#documents.push({ end: literalOf(word) ?? "", hasTabs: operator === "<<-" });
    }
  }

  #hereDocument({ end, hasTabs }: HereDocument): void {
    const first = this.#line;
    const lines: string[] = [];
    while (this.#position < this.#text.length) {
      const next = this.#endOfLine();
      const line = this.#text.slice(this.#position, next).replace(/\r$/, "");
      this.#position = Math.min(next + 1, this.#text.length);
      this.#line += 1;
      if ((hasTabs ? line.replace(/^\t+/, "") : line) === end) break;
      lines.push(line);
    }
    this.#tokens.push({ document: lines.join("\n"), line: first });
  }

  #word(): Word {
    const { line } = { line: this.#line };
    const parts: Part[] = [];
    const add = (literal: string): void => {
      const last = parts.at(-1);
      if (last && "literal" in last) parts[parts.length - 1] = { literal: last.literal + literal };
      else parts.push({ literal });
    };
    while (this.#position < this.#text.length) {
      const char = this.#text[this.#position] ?? "";
      if (/[\s;&|<>()]/.test(char)) {
        const list = char === "(" ? this.#list(parts) : undefined;
        return list ? { parts, line, list } : { parts, line };
      }
      if (char === "\\") {
        const end = this.#text.startsWith("\r\n", this.#position + 1) ? 3 : 2;
        const escaped = this.#text.slice(this.#position + 1, this.#position + end);
        this.#position += end;
        if (escaped.endsWith("\n")) this.#line += 1;
        else add(escaped);
      } else if (char === "'") add(this.#singleQuoted(this.#position + 1));
      else if (char === '"') {
        this.#position += 1;
        this.#doubleQuoted(add, parts);
      } else if (this.#text.startsWith("$'", this.#position)) {
        add(this.#ansiQuoted());
      } else if (this.#startsExpression()) parts.push(this.#expression(false));
      else {
        add(char);
        this.#position += 1;
      }
    }
    return { parts, line };
  }

  /** The list of an assignment `NAME=(…)`; undefined if the parenthesis is another one's. */
  #list(parts: readonly Part[]): Word[] | undefined {
    const [name] = parts;
    const isAssignment =
      parts.length === 1 && name && "literal" in name && /^[A-Za-z_]\w*\+?=$/.test(name.literal);
    if (!isAssignment || this.#depth >= MAX_DEPTH) return undefined;
    const end = endOfBrackets(this.#text, this.#position);
    const inside = this.#text.slice(this.#position + 1, end - 1);
    const words = tokenize(inside, this.#line, this.#depth + 1).filter((token) => "parts" in token);
    this.#line += inside.split("\n").length - 1;
    this.#position = end;
    return words;
  }

  #singleQuoted(start: number): string {
    const end = this.#text.indexOf("'", start);
    const text = this.#text.slice(start, end < 0 ? undefined : end);
    this.#position = end < 0 ? this.#text.length : end + 1;
    this.#line += text.split("\n").length - 1;
    return text;
  }

  #ansiQuoted(): string {
    const match = /\$'((?:[^'\\]|\\[\s\S])*)'?/y;
    match.lastIndex = this.#position;
    const text = match.exec(this.#text)?.[1] ?? "";
    this.#position = match.lastIndex;
    this.#line += text.split("\n").length - 1;
    const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };
    return text.replaceAll(/\\([\s\S])/g, (_, char: string) => escapes[char] ?? char);
  }

  #doubleQuoted(add: (literal: string) => void, parts: Part[]): void {
    add("");
    while (this.#position < this.#text.length) {
      const char = this.#text[this.#position] ?? "";
      if (char === '"') {
        this.#position += 1;
        return;
      }
      if (char === "\\" && /[$`"\\\n]/.test(this.#text[this.#position + 1] ?? "")) {
        const escaped = this.#text[this.#position + 1] ?? "";
        if (escaped === "\n") this.#line += 1;
        else add(escaped);
        this.#position += 2;
      } else if (this.#startsExpression()) parts.push(this.#expression(true));
      else {
        if (char === "\n") this.#line += 1;
        add(char);
        this.#position += 1;
      }
    }
  }

  #startsExpression(): boolean {
    return /^(?:`|\u{E000}|\$[\w{(@*#?$!-])/u.test(
      this.#text.slice(this.#position, this.#position + 2),
    );
  }

  #expression(isQuoted: boolean): Part {
    const [start, line] = [this.#position, this.#line];
    this.#position = this.#endOfExpression();
    const expression = this.#text.slice(start, this.#position);
    this.#line += expression.split("\n").length - 1;
    return { expression, isQuoted, line };
  }

  #endOfExpression(): number {
    const start = this.#position;
    const char = this.#text[start];
    if (char === "`" || char === "\u{E000}") {
      const end = this.#text.indexOf(char === "`" ? "`" : "\u{E001}", start + 1);
      return end < 0 ? this.#text.length : end + 1;
    }
    if (/[({]/.test(this.#text[start + 1] ?? "")) return endOfBrackets(this.#text, start + 1);
    const name = /\$(?:[A-Za-z_]\w*|.)/y;
    name.lastIndex = start;
    return name.test(this.#text) ? name.lastIndex : start + 1;
  }
}

/** The text of a word without expressions. */
export function literalOf({ parts, list }: Word): string | undefined {
  if (list) return undefined;
  return parts.every((part) => "literal" in part)
    ? parts.map((part) => ("literal" in part ? part.literal : "")).join("")
    : undefined;
}
