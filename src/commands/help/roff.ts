/** A line that man's macros would read as a request begins with one of these. */
const CONTROL = /^[.']/;

/**
 * Text as a line of roff, in which `code` is set in bold. Every hyphen is one of ASCII, so that what is
 * copied from a page can be typed.
 */
export function text(plain: string): string {
  const line = plain
    .replaceAll("\n", " ")
    .split("`")
    .map((part, index) => (index % 2 === 1 ? bold(part) : escaped(part)))
    .join("");
  return protectedLine(line);
}

/** Lines that stay as they are, in a fixed-width font where there is one. */
export function literal(lines: readonly string[]): string {
  return [".nf", ...lines.map((line) => protectedLine(escaped(line))), ".fi"].join("\n");
}

export function bold(plain: string): string {
  return `\\fB${escaped(plain)}\\fR`;
}

export function italic(plain: string): string {
  return `\\fI${escaped(plain)}\\fR`;
}

/** A request with arguments, each as one word: `.SH "SEE ALSO"`. */
export function request(name: string, ...args: readonly string[]): string {
  return [`.${name}`, ...args.map((one) => `"${escaped(one).replaceAll('"', "\\(dq")}"`)].join(" ");
}

/** A line that is roff already. */
export function protectedLine(line: string): string {
  return CONTROL.test(line) ? `\\&${line}` : line;
}

/** Characters that roff would replace, and all that is not ASCII, as the escapes that stand for them. */
const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\e",
  "-": "\\-",
  "'": "\\(aq",
  "`": "\\(ga",
  "^": "\\(ha",
  "~": "\\(ti",
};

function escaped(plain: string): string {
  return plain.replaceAll(/[\\\-'`^~]|\P{ASCII}/gu, (one) => {
    const code = one.codePointAt(0) ?? 0;
    return ESCAPES[one] ?? `\\[u${code.toString(16).toUpperCase().padStart(4, "0")}]`;
  });
}
