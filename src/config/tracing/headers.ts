/** RFC 9110 section 5: the name is a token, the value has no control characters. */
const HEADER = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([^\p{Cc}]*?)[ \t]*$/u;

/** A line that is no header. */
export class HeaderError extends Error {
  constructor(line: number) {
    super(`has no header in line ${line}: write Name: value`);
    this.name = "HeaderError";
  }
}

/**
 * Parses headers, one per line; empty lines and lines that begin with # are comments.
 *
 * @throws HeaderError with the number of the line, and not with what is in it
 */
export function parseHeaders(text: string): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, name, value] = HEADER.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new HeaderError(at + 1);
    headers[name.toLowerCase()] = value;
  }
  return headers;
}
