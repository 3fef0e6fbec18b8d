import { z } from "zod";
import type { Path, YamlSource } from "./yaml-source.ts";
import { type Problem, quote } from "./problems.ts";

type Issue = z.core.$ZodIssue;

/** Finding each position starts at the top of the file, so many issues would take minutes. */
const MAX_ISSUES = 100;

/**
 * Converts zod's issues to problems with a position and a message that says what to write instead.
 * Converts at most the first 100 issues.
 *
 * @param base the path in the file of the value that the schema was applied to
 */
export function schemaProblems(
  issues: readonly Issue[],
  schema: z.ZodType,
  source: YamlSource,
  base: Path = [],
): Problem[] {
  return issues
    .flatMap(issuesOfBranch)
    .slice(0, MAX_ISSUES)
    .flatMap((issue) => {
      const path = [...base, ...issue.path];
      if (issue.code === "unrecognized_keys") {
        const allowed = keysAt(schema, issue.path);
        return issue.keys
          .slice(0, MAX_ISSUES)
          .map((key) =>
            source.keyProblem([...path, key], pathPrefix(path) + unknownKey(key, allowed)),
          );
      }
      const message = pathPrefix(path) + describe(issue, valueAt(source.value, path));
      return source.problem(path, message);
    });
}

/** Where a value has the type of one branch of a union, what is wrong with it is what that branch says. */
function issuesOfBranch(issue: Issue): readonly Issue[] {
  if (issue.code !== "invalid_union") return [issue];
  const isOtherType = ({ code, path }: Issue): boolean =>
    (code === "invalid_type" || code === "invalid_value") && path.length === 0;
  const [only, ...others] = issue.errors.filter((errors) => !errors.some(isOtherType));
  if (!only || others.length > 0) return [issue];
  return only.flatMap((inner) =>
    issuesOfBranch({ ...inner, path: [...issue.path, ...inner.path] }),
  );
}

/** The start of a message about a key: `upstreams.ghcr.io.port: `. */
export function pathPrefix(path: Path): string {
  if (path.length === 0) return "";
  const text = path
    .map((segment) =>
      typeof segment === "number" ? `[${segment}]` : `.${quoteKey(String(segment))}`,
    )
    .join("");
  // A file may be a list.
  return `${text.replace(/^\./, "")}: `;
}

/** A key for a message: quoted and shortened unless it is a plain word, since it may be any text. */
function quoteKey(key: string): string {
  return /^[\w.:[\]-]{1,80}$/.test(key) ? key : quote(key);
}

function unknownKey(key: string, allowed: readonly string[]): string {
  const suggestion = nearest(key, allowed);
  const hint = suggestion === undefined ? "." : `: did you mean ${quote(suggestion)}?`;
  return `unknown key ${quote(key)}${hint} Allowed keys: ${allowed.join(", ")}`;
}

function describe(issue: Issue, value: unknown): string {
  if (issue.code === "invalid_type") return wrongType([issue.expected], value);
  if (issue.code === "invalid_union") {
    const branches = issue.errors.flat();
    return wrongType(
      branches.map((branch) => (branch.code === "invalid_type" ? branch.expected : branch.message)),
      value,
    );
  }
  if (issue.code === "too_small") {
    if (issue.origin === "string") return "must not be empty";
    if (issue.origin === "array") return issue.message;
    return `${String(value)} is too small: the minimum is ${issue.minimum}`;
  }
  if (issue.code === "too_big") {
    // Without the text, which may be a secret.
    if (issue.origin === "string") return `is longer than ${issue.maximum} characters`;
    if (issue.origin === "array") return `has too many entries: the maximum is ${issue.maximum}`;
    return `${String(value)} is too large: the maximum is ${issue.maximum}`;
  }
  if (issue.code === "invalid_value") {
    return `must be one of ${issue.values.map((allowed) => quote(String(allowed))).join(", ")}`;
  }
  return issue.message;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "an integer",
  boolean: "true or false",
  array: "a list",
  object: "a mapping (key: value)",
  record: "a mapping (key: value)",
};

function wrongType(expected: readonly string[], value: unknown): string {
  if (value === undefined) return "is missing";
  const expectedNames = expected.map((type) => TYPE_NAMES[type] ?? type).join(" or ");
  const needsQuotes = expected.includes("string") && ["number", "boolean"].includes(typeof value);
  return `must be ${expectedNames}, not ${typeName(value)}${needsQuotes ? ": put it in quotes" : ""}`;
}

/** The type without the value, which may be a password, even if it is a number. */
function typeName(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "boolean") return "true or false";
  if (typeof value === "number") return Number.isInteger(value) ? "a number" : "a fraction";
  return typeof value === "string" ? "a string" : "a mapping";
}

function valueAt(value: unknown, path: Path): unknown {
  let current = value;
  for (const segment of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = Reflect.get(current, segment);
  }
  return current;
}

/** The keys that the schema allows in the mapping at a path. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let current: unknown = schema;
  for (const segment of [...path, undefined]) {
    for (;;) {
      if (current instanceof z.ZodOptional || current instanceof z.ZodNullable) {
        current = current.unwrap();
      } else if (current instanceof z.ZodPipe) current = current.in;
      else if (current instanceof z.ZodUnion) {
        current = current.options.find((option) => option instanceof z.ZodObject);
      } else break;
    }
    if (segment === undefined) break;
    if (current instanceof z.ZodObject) current = current.shape[String(segment)];
    else if (current instanceof z.ZodRecord) current = current.valueType;
    else if (current instanceof z.ZodArray) current = current.element;
  }
  return current instanceof z.ZodObject ? Object.keys(current.shape) : [];
}

/** The candidate with the smallest edit distance from `text`; undefined if none is close enough. */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  const key = text.toLowerCase();
  if (key.length > 64) return undefined;
  let best: string | undefined;
  let limit = Math.max(2, Math.floor(key.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(key, candidate.toLowerCase());
    // Short words are always close to each other: at least half of the characters must match.
    if (distance < limit && distance * 2 <= candidate.length) {
      best = candidate;
      limit = distance;
    }
  }
  return best;
}

/** The Levenshtein distance, computed row by row. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      const inserted = (current[column - 1] ?? 0) + 1;
      const removed = (previous[column] ?? 0) + 1;
      current.push(Math.min(replaced, inserted, removed));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
