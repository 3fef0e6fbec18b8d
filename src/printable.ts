/**
 * Characters that a terminal or a file does not show as themselves: controls, among them line breaks and
 * the start of an escape sequence; separators of lines; what changes the order of text, or is invisible;
 * and halves of surrogate pairs.
 */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cf}\p{Cs}]/gu;

export function isPrintable(text: string): boolean {
  return text.search(UNPRINTABLE) === -1;
}

/** Replaces each of these characters. */
export function escapeUnprintable(text: string, escape: (character: string) => string): string {
  return text.replaceAll(UNPRINTABLE, escape);
}

/**
 * Text from outside as one line for a terminal or a comment: what would not be shown as itself becomes
 * `\u001b`.
 */
export function printable(text: string): string {
  return escapeUnprintable(text, escapeUnits);
}

/** Most text, which needs no closer look. */
const PLAIN = /^[\n\t -~]*$/;

/** As `printable`, for text of several lines whose line breaks and tabs stay. */
export function printableLines(text: string): string {
  if (PLAIN.test(text)) return text;
  return escapeUnprintable(text, (character) =>
    character === "\n" || character === "\t" ? character : escapeUnits(character),
  );
}

/** JSON in lines. `JSON.stringify` leaves most of such characters as they are: they are in its strings. */
export function printableJson(value: unknown): string {
  return printableLines(JSON.stringify(value, undefined, 2));
}

function escapeUnits(character: string): string {
  return character
    .split("")
    .map((unit) => `\\u${hex(unit.charCodeAt(0), 4)}`)
    .join("");
}

/** The escape of a character in YAML's double quotes, which knows no pairs of surrogates. */
export function yamlEscape(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code > 0xff_ff ? `\\U${hex(code, 8)}` : `\\u${hex(code, 4)}`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}
