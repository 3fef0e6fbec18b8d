import { tokenize, type Word } from "./shell-lexer.ts";

/** Commands inside a word, and the line on which they begin. */
export interface Substitution {
  readonly text: string;
  readonly line: number;
}

/** Deeper nesting of defaults could exhaust the stack. */
const MAX_DEPTH = 8;

/**
 * The commands of `$(…)`, of backquotes, of `<(…)` and of defaults as in `${ID:-$(…)}`, which a
 * shell runs before the word's own.
 */
export function substitutionsIn({ parts, list = [] }: Word): Substitution[] {
  return substitutionsOf([{ parts }, ...list], 0);
}

function substitutionsOf(words: readonly Pick<Word, "parts">[], depth: number): Substitution[] {
  return words.flatMap(({ parts }) =>
    parts.flatMap((part): Substitution[] => {
      if (!("expression" in part)) return [];
      const { expression, line } = part;
      const fallback = /^\$\{\w+:?[-=+]([\s\S]*)\}$/.exec(expression)?.[1];
      if (fallback !== undefined && depth < MAX_DEPTH) {
        const inside = tokenize(fallback, line).filter((token) => "parts" in token);
        return substitutionsOf(inside, depth + 1);
      }
      const [, bracketed, quoted] =
        /^(?:[$<]\((?!\()([\s\S]*)\)|`([\s\S]*)`)$/.exec(expression) ?? [];
      const text = bracketed ?? quoted?.replaceAll(/\\([$`\\])/g, "$1");
      return text === undefined ? [] : [{ text, line }];
    }),
  );
}
