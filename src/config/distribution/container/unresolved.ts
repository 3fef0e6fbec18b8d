// Code points for private use, which no file has a reason to contain.
const START = "\u{E000}";
const END = "\u{E001}";
const MARKED = /\u{E000}([^\u{E001}]*)\u{E001}/u;

/** Text from a file, without what could be taken for a mark. */
export function withoutMarks(text: string): string {
  return text.replaceAll(/[\u{E000}\u{E001}]/gu, "\u{FFFD}");
}

/** Marks an expression whose value is not known, such as `$DATA`, inside a text. */
export function mark(expression: string): string {
  return `${START}${expression}${END}`;
}

/** The first expression in a text whose value is not known. */
export function unresolvedIn(text: string): string | undefined {
  return MARKED.exec(text)?.[1];
}

/** A text as it was written, for messages. */
export function asWritten(text: string): string {
  return text.replaceAll(/[\u{E000}\u{E001}]/gu, "");
}
