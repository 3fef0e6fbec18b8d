import type { GlobPattern } from "../parsing/glob-pattern.ts";

const WILDCARD = /[*?[{]/;

/**
 * Whether a pattern surely matches all that another one matches. It may miss that: for messages about what
 * was not meant, and for no decision.
 */
export function covers(pattern: GlobPattern, other: GlobPattern): boolean {
  if (pattern.text === "**" || pattern.text === other.text) return true;
  if (!WILDCARD.test(other.text)) return pattern.matches(other.text);
  if (!pattern.text.endsWith("**")) return false;
  const start = pattern.text.slice(0, -2);
  return !WILDCARD.test(start) && other.text.startsWith(start);
}

/** Whether patterns surely match all that other ones match. */
export function coverAll(
  patterns: readonly GlobPattern[],
  others: readonly GlobPattern[],
): boolean {
  return others.every((other) => patterns.some((pattern) => covers(pattern, other)));
}
