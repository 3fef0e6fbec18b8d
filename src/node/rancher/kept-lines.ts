import { isDeepStrictEqual } from "node:util";
import { parseDocument } from "yaml";
import { compareLines } from "../files/diff.ts";

/**
 * The edit of a YAML text, with every line that it does not concern as it was. A document is printed
 * anew as a whole: without this, blanks, blank lines and CRLF would change everywhere.
 *
 * @param text as it was
 * @param printed the document of this text as it is printed
 * @param edited the document after the edit as it is printed
 */
export function keepLines(text: string, printed: string, edited: string): string {
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const mark = text.startsWith("\uFEFF") ? "\uFEFF" : "";
  const merged = merge(text.slice(mark.length).split(/\r?\n/), printed, edited);
  const isSame = merged !== undefined && means(merged.join("\n"), edited);
  return mark + (isSame ? merged : edited.split("\n")).join(eol);
}

/** Undefined if the lines of the text are not those of its printed form. */
function merge(lines: readonly string[], printed: string, edited: string): string[] | undefined {
  const [before, after] = [printed, edited].map((it) => it.split("\n").filter(isFilled));
  const filled = lines.filter(isFilled).map(withoutBlanks);
  if (!before || !after || !isDeepStrictEqual(filled, before.map(withoutBlanks))) return undefined;
  const merged: string[] = [];
  let at = 0;
  const skip = (): void => {
    for (; at < lines.length && !isFilled(lines[at] ?? ""); at += 1) merged.push(lines[at] ?? "");
  };
  for (const { mark, text } of compareLines(before, after)) {
    if (mark === "+") {
      merged.push(text);
      continue;
    }
    skip();
    if (mark === " ") merged.push(lines[at] ?? "");
    at += 1;
  }
  const isAtEnd = at === lines.length;
  skip();
  return isAtEnd ? [...merged, ""] : merged;
}

function isFilled(line: string): boolean {
  return line.trim() !== "";
}

function withoutBlanks(line: string): string {
  return line.replaceAll(/\s+/g, "");
}

function means(text: string, other: string): boolean {
  try {
    const [a, b] = [text, other].map((it) => parseDocument(it));
    return a?.errors.length === 0 && isDeepStrictEqual(a.toJS(), b?.toJS());
  } catch {
    // Too many aliases.
    return false;
  }
}
