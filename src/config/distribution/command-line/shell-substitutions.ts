import type { Word } from "./shell-lexer.ts";

/** Commands inside a word, and the line on which they begin. */
export interface Substitution {
  readonly text: string;
  readonly line: number;
}

/** The commands of `$(…)`, of backquotes and of `<(…)`, which a shell runs before the word's own. */
export function substitutionsIn({ parts, list }: Word): Substitution[] {
  const own = parts.flatMap((part) => {
    if (!("expression" in part)) return [];
    const [, bracketed, quoted] =
      /^(?:[$<]\((?!\()([\s\S]*)\)|`([\s\S]*)`)$/.exec(part.expression) ?? [];
    const text = bracketed ?? quoted?.replaceAll(/\\([$`\\])/g, "$1");
    return text === undefined ? [] : [{ text, line: part.line }];
  });
  return [...own, ...(list ?? []).flatMap(substitutionsIn)];
}
