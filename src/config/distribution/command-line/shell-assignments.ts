import { literalOf, type Word } from "./shell-lexer.ts";
import type { Statement } from "./shell-program.ts";

export const DECLARATIONS = new Set(["export", "local", "declare", "readonly", "typeset"]);
/** Commands that set variables to values which only a run would tell. */
export const SETTERS = new Set([
  "read",
  "unset",
  "mapfile",
  "readarray",
  "getopts",
  "let",
  "printf",
]);

const ASSIGNMENT = /^([A-Za-z_]\w*(?:\[[^\]]*\])?)(\+?)=/;

/** What stands for the arguments of a function, `$@`, among the names that statements assign. */
export const ARGUMENTS = "@";

/** `NAME=VALUE`, `NAME+=VALUE` or `NAME[KEY]=VALUE`. */
export interface Assignment {
  readonly name: string;
  readonly isAppended: boolean;
  readonly value: Word;
}

/** The assignment that a word is, if it is one. */
export function assignmentIn(word: Word): Assignment | undefined {
  const [first, ...rest] = word.parts;
  if (!first || !("literal" in first)) return undefined;
  const match = ASSIGNMENT.exec(first.literal);
  if (!match) return undefined;
  const value = { ...word, parts: [{ literal: first.literal.slice(match[0].length) }, ...rest] };
  return { name: match[1] ?? "", isAppended: match[2] === "+", value };
}

/** The variables that statements may assign. */
export function assignedIn(statements: readonly Statement[]): string[] {
  return statements.flatMap((statement) => {
    if ("command" in statement) {
      const [first] = statement.command;
      const program = first && literalOf(first);
      if (program === "shift" || program === "set") return [ARGUMENTS];
      return statement.command.flatMap((word) => assignmentIn(word)?.name ?? []);
    }
    if ("alternatives" in statement) return statement.alternatives.flatMap(assignedIn);
    return "body" in statement ? assignedIn(statement.body) : [];
  });
}
