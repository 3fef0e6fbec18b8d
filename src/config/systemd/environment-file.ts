/** A variable of an environment file, and the line in which it begins. */
export interface FileVariable {
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

/** Reads a file of `EnvironmentFile=` as systemd.exec(5) describes it: with the quotes of a shell. */
export function parseEnvironmentFile(text: string): FileVariable[] {
  const variables: FileVariable[] = [];
  const lines = new LineReader(text);
  while (!lines.isAtEnd) {
    const { line } = lines;
    const name = /^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*/.exec(lines.rest);
    const isComment = /^\s*[#;]/.test(lines.rest);
    if (isComment || !name) lines.skipLine();
    else {
      lines.skip(name[0].length);
      variables.push({ name: name[1] ?? "", value: lines.readValue(), line });
    }
  }
  return variables;
}

class LineReader {
  readonly #text: string;
  #position = 0;
  line = 1;

  constructor(text: string) {
    this.#text = text.replaceAll("\r\n", "\n");
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#text.length;
  }

  /** The rest of the current line. */
  get rest(): string {
    const end = this.#text.indexOf("\n", this.#position);
    return this.#text.slice(this.#position, end < 0 ? undefined : end);
  }

  skip(count: number): void {
    this.#position += count;
  }

  skipLine(): void {
    this.#position += this.rest.length + 1;
    this.line += 1;
  }

  readValue(): string {
    const parts: string[] = [];
    /** How many of the parts count although they are white space: they were quoted or escaped. */
    let kept = 0;
    let quote = "";
    while (!this.isAtEnd) {
      const character = this.#next();
      if (character === "\n" && quote === "") break;
      if (character === quote) {
        quote = "";
        kept = parts.length;
      } else if (quote === "" && /["']/.test(character)) quote = character;
      else if (character === "\\" && quote !== "'" && !this.isAtEnd) {
        const escaped = this.#next();
        const isEscape = quote === "" || /["\\`$\n]/.test(escaped);
        if (!isEscape) parts.push("\\");
        if (escaped !== "\n") parts.push(escaped);
        kept = parts.length;
      } else {
        parts.push(character);
        if (quote !== "" || !/\s/.test(character)) kept = parts.length;
      }
    }
    return parts.slice(0, kept).join("");
  }

  #next(): string {
    const character = this.#text.charAt(this.#position);
    this.#position += 1;
    if (character === "\n") this.line += 1;
    return character;
  }
}
