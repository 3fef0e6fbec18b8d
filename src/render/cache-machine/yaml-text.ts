/** Text that every version of YAML reads as a string without quotes, and no other kind of value. */
const PLAIN = /^[A-Za-z/][\w./-]*$/;
const WORDS = /^(?:y|n|yes|no|on|off|true|false|null)$/i;

/**
 * A value as YAML of printable ASCII, which stays what it is where it is nested in other YAML, whichever
 * version of it that is: YAML 1.1 ends lines at characters that are text in YAML 1.2.
 */
export function yamlText(value: unknown): string {
  const lines = linesOf(value);
  return lines.length === 1 && lines[0] === "{}" ? "{}\n" : `${lines.join("\n")}\n`;
}

function linesOf(value: unknown): string[] {
  if (Array.isArray(value)) {
    if (value.length === 0) return ["[]"];
    return value.flatMap((one: unknown) => nested("-", one, "  "));
  }
  if (typeof value !== "object" || value === null) return [scalar(value)];
  const entries = Object.entries(value);
  if (entries.length === 0) return ["{}"];
  return entries.flatMap(([key, inner]) => nested(`${quoted(key)}:`, inner, "  "));
}

/** A value after `-` or `key:`; on the same line if it is one line, or the first of a list's mapping. */
function nested(prefix: string, value: unknown, indent: string): string[] {
  const [first = "", ...rest] = linesOf(value);
  const isInline = prefix === "-" || typeof value !== "object" || value === null || isEmpty(value);
  if (isInline) return [`${prefix} ${first}`.trimEnd(), ...rest.map((line) => indent + line)];
  return [prefix, ...[first, ...rest].map((line) => indent + line)];
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}

function scalar(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  return value === null || value === undefined ? "" : JSON.stringify(value);
}

/** As JSON, which is YAML, with escapes for all that is not printable ASCII. */
export function quoted(text: string): string {
  if (PLAIN.test(text) && !WORDS.test(text)) return text;
  return JSON.stringify(text).replaceAll(/[^\x20-\x7E]/gu, (one) => {
    const code = (one.codePointAt(0) ?? 0).toString(16);
    return code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
}
