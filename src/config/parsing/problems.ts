import { printable } from "../../printable.ts";

/** A position in a file. Line and column start at 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A problem in the configuration, with its position if it is in a file. */
export interface Problem extends Partial<Position> {
  readonly message: string;
}

/** The maximum number of problems in a message: more would scroll the first ones off the screen. */
const MAX_SHOWN = 20;

const MAX_LINE = 1000;
const LINE_END = 300;

/** The configuration is invalid. The message, for the operator, has one line per problem. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";

  constructor(
    readonly problems: readonly Problem[],
    options?: ErrorOptions,
  ) {
    const lines = problems.slice(0, MAX_SHOWN).map(formatProblem);
    if (problems.length > MAX_SHOWN) lines.push("… and more");
    super(lines.join("\n"), options);
  }
}

/** Formats `path:line:column: message`, without the parts of the position that are unknown. */
export function formatProblem({ file, line, column, message }: Problem): string {
  const parts = [file, line, column, ` ${message}`].filter((part) => part !== undefined);
  return readable(parts.join(":").trimStart());
}

/**
 * A message as one line for a terminal or a comment. What is longer than anybody reads, which is a value
 * from a file, is left out in the middle: the advice is at the end.
 */
export function readable(message: string): string {
  const line = printable(message);
  if (line.length <= MAX_LINE) return line;
  return `${line.slice(0, MAX_LINE - LINE_END)}…${line.slice(-LINE_END)}`.toWellFormed();
}

/** Sorts problems by position. Problems without a position come first. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return problems.toSorted(
    (a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  );
}

/** Quotes a value for a message: at most 80 characters, with control characters escaped. */
export function quote(text: string): string {
  return printable(JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text));
}
