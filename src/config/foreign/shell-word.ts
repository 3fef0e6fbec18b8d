/**
 * Quotes text as one word of a shell, for commands that operators copy from a message. It stays in
 * one line whatever it contains: with control characters it has the form `$'…'` of bash, zsh and ksh.
 */
export function quoteForShell(text: string): string {
  if (/^[\w./:@%+,-]+$/.test(text) && !text.startsWith("-")) return text;
  if (!CONTROL.test(text)) return `'${text.replaceAll("'", String.raw`'\''`)}'`;
  const escaped = text
    .replaceAll(/[\\']/g, (character) => `\\${character}`)
    .replaceAll(new RegExp(CONTROL, "gu"), (character) =>
      [...Buffer.from(character)]
        .map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`)
        .join(""),
    );
  return `$'${escaped}'`;
}

/** Control characters, and what Unicode breaks lines at or reorders text with. */
const CONTROL = /[\p{Cc}\u2028\u2029\u200E\u200F\u202A-\u202E\u2066-\u2069]/u;
