import { z } from "zod";
import type { Path, YamlSource } from "./yaml-source.ts";
import { type Problem, quote } from "./problems.ts";

type Issue = z.core.$ZodIssue;

/** A place is searched from the file's top: a file that is wrong throughout must not take minutes. */
const LOOKED_AT = 100;

/**
 * What zod found, each with its place in the file and in words that say what to write instead.
 *
 * @param base where in the file the value stands that the schema is for
 */
export function explainIssues(
  issues: readonly Issue[],
  schema: z.ZodType,
  source: YamlSource,
  base: Path = [],
): Problem[] {
  return issues.slice(0, LOOKED_AT).flatMap((issue) => {
    const path = [...base, ...issue.path];
    if (issue.code === "unrecognized_keys") {
      const allowed = keysAt(schema, issue.path);
      return issue.keys
        .slice(0, LOOKED_AT)
        .map((key) =>
          source.keyProblem([...path, key], pathPrefix(path) + unknownKey(key, allowed)),
        );
    }
    const message = pathPrefix(path) + describe(issue, valueAt(source.value, path));
    return source.problem(path, message);
  });
}

/** `upstreams.ghcr.io.port: `, as a message begins that is about this key. */
export function pathPrefix(path: Path): string {
  if (path.length === 0) return "";
  const [first = "", ...rest] = path.map((segment) =>
    typeof segment === "number" ? `[${segment}]` : `.${shorten(String(segment))}`,
  );
  return `${first.slice(1)}${rest.join("")}: `;
}

/** A key of a file that may be anything, as part of a message's beginning. */
function shorten(key: string): string {
  return /^[\w.:[\]-]{1,80}$/.test(key) ? key : quote(key);
}

function unknownKey(key: string, allowed: readonly string[]): string {
  const meant = nearest(key, allowed);
  const hint = meant === undefined ? "." : `: did you mean ${quote(meant)}?`;
  return `unknown key ${quote(key)}${hint} Allowed here: ${allowed.join(", ")}`;
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
    return `${String(value)} is too small: at least ${issue.minimum}`;
  }
  if (issue.code === "too_big") {
    if (issue.origin === "array") return `has too many entries: at most ${issue.maximum}`;
    return `${String(value)} is too large: at most ${issue.maximum}`;
  }
  return issue.message;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping (key: value)",
  record: "a mapping (key: value)",
};

function wrongType(expected: readonly string[], value: unknown): string {
  if (value === undefined) return "is missing";
  const wanted = expected.map((type) => TYPE_NAMES[type] ?? type).join(" or ");
  const isQuotable = expected.includes("string") && ["number", "boolean"].includes(typeof value);
  return `must be ${wanted}, not ${typeName(value)}${isQuotable ? ": put it in quotes" : ""}`;
}

/** The type alone: the value may be a password, be it one of digits. */
function typeName(value: unknown): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "boolean") return "true or false";
  if (typeof value === "number") return Number.isInteger(value) ? "a number" : "a fraction";
  return typeof value === "string" ? "a text" : "a mapping";
}

function valueAt(value: unknown, path: Path): unknown {
  let current = value;
  for (const segment of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = Reflect.get(current, segment);
  }
  return current;
}

/** The keys that the schema allows at a path. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let current: unknown = schema;
  for (const segment of [...path, undefined]) {
    while (current instanceof z.ZodOptional || current instanceof z.ZodNullable) {
      current = current.unwrap();
    }
    if (segment === undefined) break;
    if (current instanceof z.ZodObject) current = current.shape[String(segment)];
    else if (current instanceof z.ZodRecord) current = current.valueType;
    else if (current instanceof z.ZodArray) current = current.element;
  }
  return current instanceof z.ZodObject ? Object.keys(current.shape) : [];
}

/** The candidate that somebody who wrote `text` most likely meant. */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  const written = text.toLowerCase();
  if (written.length > 64) return undefined;
  let best: string | undefined;
  let bound = Math.max(2, Math.floor(written.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(written, candidate.toLowerCase());
    // Two short words are always near: at least half of the word has to be right.
    if (distance < bound && distance * 2 <= candidate.length) {
      best = candidate;
      bound = distance;
    }
  }
  return best;
}

/** Levenshtein's distance, one row at a time. */
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
