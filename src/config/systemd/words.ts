/** Why a value cannot be split into words. The message follows the key. */
export class WordError extends Error {
  override readonly name = "WordError";
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  s: " ",
  "\\": "\\",
  '"': '"',
  "'": "'",
};
const NUMBERED = /^(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3}))/;

/**
 * Splits a value as systemd splits command lines (systemd.service(5), "Command lines"): at white
 * space, with quotes and the escapes of C.
 *
 * @throws WordError
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string[] | undefined;
  let quote = "";
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (character === "\\") {
      const { value, length } = unescape(text.slice(index + 1, index + 10));
      (word ??= []).push(value);
      index += length;
    } else if (quote !== "") {
      if (character === quote) quote = "";
      else word?.push(character);
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= [];
    } else if (/\s/.test(character)) {
      if (word) words.push(word.join(""));
      word = undefined;
    } else (word ??= []).push(character);
  }
  if (quote !== "") throw new WordError(`has a ${quote} without its end`);
  if (word) words.push(word.join(""));
  return words;
}

/** The character that an escape stands for, and the length of the escape behind its backslash. */
function unescape(text: string): { value: string; length: number } {
  const simple = ESCAPES[text.charAt(0)];
  if (simple !== undefined) return { value: simple, length: 1 };
  const numbered = NUMBERED.exec(text);
  const [match = "", x, u, U, octal] = numbered ?? [];
  const code =
    octal === undefined ? Number.parseInt(x ?? u ?? U ?? "", 16) : Number.parseInt(octal, 8);
  const isCharacter = code > 0 && code <= 0x10_ff_ff && (octal === undefined || code < 256);
  if (!isCharacter) throw new WordError(`has \\${text.charAt(0)}, which is no escape of systemd`);
  return { value: String.fromCodePoint(code), length: match.length };
}
