/** A place in a file; line and column are counted from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** One thing that is wrong with the configuration, and where it was written. */
export interface Problem extends Partial<Position> {
  readonly message: string;
}

/** More would scroll away what has to be read first. */
const SHOWN = 20;

/** The configuration cannot be used. Its message is for the person who wrote it: a line per problem. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";

  constructor(
    readonly problems: readonly Problem[],
    options?: ErrorOptions,
  ) {
    const lines = problems.slice(0, SHOWN).map(formatProblem);
    if (problems.length > SHOWN) lines.push("… and more");
    super(lines.join("\n"), options);
  }
}

/** `path:line:column: message`, with as much of the place as is known. */
export function formatProblem({ file, line, column, message }: Problem): string {
  return [file, line, column, ` ${message}`]
    .filter((part) => part !== undefined)
    .join(":")
    .trimStart();
}

/** By place, so that they are read in the order of the file; those without one come first. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return problems.toSorted(
    (a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  );
}

/** What somebody wrote, short enough for a message and without control characters. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
