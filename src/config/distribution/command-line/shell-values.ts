import type { HostFolders } from "../container/notation.ts";
import { mark, unresolvedIn } from "../container/unresolved.ts";
import type { Part, Word } from "./shell-lexer.ts";

/** A word after its expressions were replaced as far as they are known: see unresolved.ts for the rest. */
export interface ShellWord {
  readonly text: string;
  readonly line: number;
  /** Whether it stands for an unknown number of words: `$OPTS`, `"$@"`. */
  readonly isOpen: boolean;
}

/** The values of variables: a text, or the elements of a list. */
export type Variables = ReadonlyMap<string, string | readonly string[]>;

/** Which values the expressions of a script have. */
export interface Scope {
  readonly variables: Variables;
  /** `$1`, `$2`, …; undefined outside of a function whose call is known. */
  readonly arguments: readonly string[] | undefined;
  readonly folders: HostFolders;
  /** Whether variables that are not in `variables` are not set by anything that the script runs. */
  readonly isComplete: boolean;
}

/** The directory of the script itself, in the usual notations. */
const SCRIPT_FOLDER =
  /^\$\(\s*(?:cd\s+(?:-P\s+|--\s+)*"?\$\(\s*dirname\s+(?:--\s+)?[^)]*\)"?\s*(?:[^;&|]*)(?:&&|;)\s*pwd(?:\s+-P)?|dirname\s+(?:--\s+)?"?(?:\$0|\$\{BASH_SOURCE(?:\[0\])?\}|\$BASH_SOURCE|\$\((?:readlink\s+-f|realpath)\s+"?(?:\$0|\$\{BASH_SOURCE(?:\[0\])?\})"?\))"?)\s*\)$/;
const WORKING_FOLDER = /^(?:\$\(\s*pwd\s*(?:-P)?\s*\)|`\s*pwd\s*`)$/;
const REFERENCE =
  /^\$(?:\{(?<braced>[A-Za-z_]\w*|\d+|[@*])(?<index>\[[@*]\])?(?:(?<operator>:?[-=+?])(?<word>[\s\S]*))?\}|(?<plain>[A-Za-z_]\w*|\d|[@*]))$/;

/** Replaces the expressions of a word. It becomes several if an unquoted value has spaces. */
export function expand(word: Word, scope: Scope): ShellWord[] {
  const { line } = word;
  const words = [{ text: "", isOpen: false, isWritten: false }];
  const append = (text: string, isWritten = true): void => {
    const last = words.at(-1);
    if (!last) return;
    last.text += text;
    last.isWritten ||= isWritten;
  };
  for (const part of word.parts) {
    if ("literal" in part) {
      append(part.literal);
      continue;
    }
    const value = valueOf(part.expression, scope);
    if (value === undefined) {
      append(mark(part.expression));
      const last = words.at(-1);
      const isList = !part.isQuoted || /[@*]/.test(part.expression);
      if (last && word.parts.every((one) => one === part || isEmpty(one))) last.isOpen = isList;
      continue;
    }
    for (const [index, piece] of splitValue(value, part).entries()) {
      if (index > 0) words.push({ text: "", isOpen: false, isWritten: false });
      append(piece, piece !== "" || (part.isQuoted && typeof value === "string"));
    }
  }
  // An empty value without quotes is no word at all, and neither is an empty list.
  const isEmptyList = word.parts.some(
    (part) => "expression" in part && /\[[@*]\]|\$\{?[@*]/.test(part.expression),
  );
  return words
    .filter(({ text, isWritten }) => text !== "" || (isWritten && !isEmptyList))
    .map(({ text, isOpen }) => ({ text, isOpen, line }));
}

function isEmpty(part: Part): boolean {
  return "literal" in part && part.literal === "";
}

/** The value of a word as in an assignment, where nothing is split. */
export function expandWhole(word: Word, scope: Scope): string {
  return word.parts
    .map((part) => {
      if ("literal" in part) return part.literal;
      const value = valueOf(part.expression, scope);
      if (value === undefined) return mark(part.expression);
      return typeof value === "string" ? value : value.join(" ");
    })
    .join("");
}

function splitValue(value: string | readonly string[], part: Part): readonly string[] {
  if (typeof value !== "string") return value;
  if ("literal" in part || part.isQuoted) return [value];
  // The expression inside a mark may contain spaces.
  return value.trim().match(/(?:\u{E000}[^\u{E001}]*\u{E001}|\S)+/gu) ?? [""];
}

function valueOf(expression: string, scope: Scope): string | readonly string[] | undefined {
  const { working, home } = scope.folders;
  if (WORKING_FOLDER.test(expression)) return working;
  if (SCRIPT_FOLDER.test(expression)) return working;
  const sum = /^\$\(\(([\s\S]*)\)\)$/.exec(expression)?.[1];
  if (sum !== undefined) return arithmetic(sum, scope);
  const groups = REFERENCE.exec(expression)?.groups;
  if (!groups) return element(expression, scope) ?? shortened(expression, scope);
  const name = groups["braced"] ?? groups["plain"] ?? "";
  const known = /^[\d@*]/.test(name)
    ? argument(name, scope)
    : (scope.variables.get(name) ?? (groups["index"] ? elements(name, scope) : undefined));
  const value = known ?? (name === "PWD" ? working : name === "HOME" ? home : undefined);
  // A list without an index is its first element.
  const isWhole = typeof value === "string" || groups["index"] || /^[@*]$/.test(name);
  const whole = isWhole ? value : value?.[0];
  if (typeof whole === "string" && unresolvedIn(whole) !== undefined) return undefined;
  const { operator, word = "" } = groups;
  if (operator === undefined) return whole;
  // A variable that is not set here may have been set where it cannot be seen.
  if (whole === undefined && !scope.isComplete) return undefined;
  const isSet = operator.startsWith(":")
    ? whole !== undefined && whole !== ""
    : whole !== undefined;
  if (operator.endsWith("+")) return isSet ? plainWord(word) : "";
  if (isSet) return whole;
  return operator.endsWith("?") ? undefined : plainWord(word);
}

/** An element, `${URL[hub]}` or `${URL[$name]}`, or the keys, `${!URL[@]}`. */
function element(expression: string, scope: Scope): string | readonly string[] | undefined {
  const { variables } = scope;
  const keysOf = /^\$\{!(\w+)\[[@*]\]\}$/.exec(expression)?.[1];
  if (keysOf !== undefined) {
    const list = variables.get(keysOf);
    return Array.isArray(list) ? list.map((_, index) => String(index)) : keys(keysOf, scope);
  }
  const [, name = "", written = ""] = /^\$\{(\w+)\[([^\]@*]+)\]\}$/.exec(expression) ?? [];
  const key = written.startsWith("$") ? valueOf(written, scope) : plainWord(written);
  if (typeof key !== "string") return undefined;
  const list = variables.get(name);
  const value = Array.isArray(list) ? list[Number(key)] : variables.get(`${name}[${key}]`);
  return typeof value === "string" && unresolvedIn(value) === undefined ? value : undefined;
}

function keys(name: string, { variables }: Scope): readonly string[] | undefined {
  const prefix = `${name}[`;
  const found = [...variables.keys()].filter((key) => key.startsWith(prefix));
  return found.length > 0 ? found.map((key) => key.slice(prefix.length, -1)) : undefined;
}

function elements(name: string, scope: Scope): readonly string[] | undefined {
  const values = keys(name, scope)?.map((key) => scope.variables.get(`${name}[${key}]`));
  const isKnown = values?.every(
    (value) => typeof value === "string" && unresolvedIn(value) === undefined,
  );
  return isKnown ? values?.map(String) : undefined;
}

/** A value without what a pattern matches at its end or start: `${entry%%=*}`, `${entry#*=}`. */
function shortened(expression: string, scope: Scope): string | undefined {
  const [, name = "", operator = "", pattern = ""] =
    /^\$\{(\w+)(%%?|##?)([^$`"'\\[\]{}]{1,64})\}$/.exec(expression) ?? [];
  const value = name === "" ? undefined : valueOf(`\${${name}}`, scope);
  // Each length is tried, which takes long for long values and patterns with many stars.
  if (typeof value !== "string" || value.length > 512 || /\*.*\*.*\*/.test(pattern))
    return undefined;
  // The longest match, or the shortest one, at that side.
  const lengths = Array.from({ length: value.length + 1 }, (_, length) => length);
  const ordered = operator.length === 2 ? lengths.toReversed() : lengths;
  const matches = globMatcher(pattern);
  const isStart = operator.startsWith("#");
  const length = ordered.find((one) =>
    matches(isStart ? value.slice(0, one) : value.slice(value.length - one)),
  );
  if (length === undefined) return value;
  return isStart ? value.slice(length) : value.slice(0, value.length - length);
}

function globMatcher(pattern: string): (text: string) => boolean {
  const source = pattern
    .replaceAll(/[.+^()|-]/g, String.raw`\$&`)
    .replaceAll(/\*+/g, ".*")
    .replaceAll("?", ".");
  const whole = new RegExp(`^${source}$`, "s");
  return (text) => whole.test(text);
}

/** The word behind an operator, if nothing in it has to be replaced. */
function plainWord(word: string): string | undefined {
  const unquoted = /^(?:"([^"]*)"|'([^']*)')$/.exec(word);
  const text = unquoted ? (unquoted[1] ?? unquoted[2] ?? "") : word;
  return /[$`\\"']/.test(text) ? undefined : text;
}

function argument(
  name: string,
  { arguments: given }: Scope,
): string | readonly string[] | undefined {
  if (!given || name === "0") return undefined;
  // An argument that the call does not give is empty.
  return /^\d+$/.test(name) ? (given[Number(name) - 1] ?? "") : given;
}

/** Sums and products of numbers and variables; undefined for anything else. */
function arithmetic(text: string, scope: Scope): string | undefined {
  if (!/^[\w\s$+*{}-]*$/.test(text)) return undefined;
  let result = 0;
  for (const [, sign, product = ""] of text.matchAll(/([+-]?)([^+-]*)/g)) {
    if (product.trim() === "") {
      if (sign) return undefined;
      continue;
    }
    let factorOf = 1;
    for (const factor of product.split("*")) {
      const name = factor.trim().replace(/^\$?\{?(\w+)\}?$/, "$1");
      const value = /^\d+$/.test(name) ? name : valueOf(`\${${name}}`, scope);
      if (typeof value !== "string" || !/^\d{1,9}$/.test(value)) return undefined;
      factorOf *= Number(value);
    }
    result += sign === "-" ? -factorOf : factorOf;
  }
  return String(result);
}
