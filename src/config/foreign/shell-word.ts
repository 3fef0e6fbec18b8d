import { escapeUnprintable, isPrintable } from "../../printable.ts";

/**
 * Quotes text as one word of a shell, for commands that operators copy from a message. It stays in
 * one line whatever it contains: with characters that are not shown as themselves, it has the form
 * `$'…'` of bash, zsh and ksh.
 */
export function quoteForShell(text: string): string {
  if (/^[\w./:@%+,-]+$/.test(text) && !text.startsWith("-")) return text;
  if (isPrintable(text)) return `'${text.replaceAll("'", String.raw`'\''`)}'`;
  const escaped = text.replaceAll(/[\\']/g, (character) => `\\${character}`);
  return `$'${escapeUnprintable(escaped, escapeBytes)}'`;
}

function escapeBytes(character: string): string {
  return [...Buffer.from(character)]
    .map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`)
    .join("");
}
