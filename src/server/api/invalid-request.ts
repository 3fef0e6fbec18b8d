import { z } from "zod";
import { nearest } from "../../config/parsing/schema-problems.ts";
import { printable } from "../../printable.ts";
import { ProblemError } from "./problem-details.ts";

/** Where a value of a request is. */
export type RequestPart = "query" | "path" | "body";

/** More than these are not told: the first ones show what is wrong. */
const MAX_ISSUES = 10;
const MAX_SHOWN = 80;
/** The message of an issue for which the schema has no words of its own. */
const WORDLESS = "";

const NEXT = "mend that: GET /api/v1/openapi.json describes the request";

/** @throws ProblemError in our own words: which field, what was given, and what is expected */
export function parsePart<Schema extends z.ZodType>(
  part: RequestPart,
  schema: Schema,
  value: unknown,
): z.output<Schema> {
  const { data, error, success } = schema.safeParse(value, { error: () => WORDLESS });
  if (success) return data;
  const told = error.issues
    .slice(0, MAX_ISSUES)
    .flatMap((issue) => wordsOf(issue, { part, schema, value }));
  if (error.issues.length > MAX_ISSUES) told.push("and more");
  throw new ProblemError({ status: 400, detail: told.join("; "), next: NEXT });
}

interface Parsed {
  readonly part: RequestPart;
  readonly schema: z.ZodType;
  readonly value: unknown;
}

type Issue = z.core.$ZodIssue;

function wordsOf(issue: Issue, parsed: Parsed): string[] {
  const { part, schema, value } = parsed;
  if (issue.code === "unrecognized_keys") {
    const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
    return issue.keys.slice(0, MAX_ISSUES).map((key) => {
      const meant = nearest(key, known);
      const place = placeOf(part, [...issue.path, key]);
      if (meant !== undefined) return `there is no ${place}: did you mean ${shown(meant)}?`;
      const all = known.length === 0 ? "" : `: there is ${known.join(", ")}`;
      return `there is no ${place}${issue.path.length === 0 ? all : ""}`;
    });
  }
  const given = valueAt(value, issue.path);
  const place = placeOf(part, issue.path);
  const expected = expectation(issue);
  return [
    given === undefined
      ? `${place} is missing: ${expected}`
      : `${place} is ${shown(given)}: ${expected}`,
  ];
}

function placeOf(part: RequestPart, path: readonly PropertyKey[]): string {
  if (part !== "body") return `parameter ${shown(path.map(String).join("."))} of the ${part}`;
  if (path.length === 0) return "the body";
  // A JSON pointer, as RFC 6901 has it.
  const pointer = path.map(
    (name) => `/${String(name).replaceAll("~", "~0").replaceAll("/", "~1")}`,
  );
  return `field ${printable(pointer.join("").slice(0, 2 * MAX_SHOWN))} of the body`;
}

const TYPES: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

const FORMATS: Readonly<Record<string, string>> = {
  ipv4: "an IPv4 address",
  ipv6: "an IPv6 address",
  url: "a URL",
  datetime: "a moment, such as 2026-01-31T12:00:00Z",
};

/** What a value has to be, in a sentence about it. */
function expectation(issue: Issue): string {
  if (issue.message !== WORDLESS) {
    return /^(?:is|must|has) /.test(issue.message) ? `it ${issue.message}` : issue.message;
  }
  switch (issue.code) {
    case "invalid_type":
      return `it must be ${TYPES[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `it must be ${choice(issue.values.map(shown))}`;
    case "too_small":
    case "too_big":
      return limitOf(issue);
    case "invalid_format": {
      const { format, pattern } = issue;
      return `it must be ${FORMATS[format] ?? (pattern === undefined ? `of the form ${format}` : `as ${pattern} has it`)}`;
    }
    case "not_multiple_of":
      return `it must be a multiple of ${issue.divisor}`;
    case "invalid_union": {
      const branches = issue.errors.flatMap((branch) => branch.slice(0, 1));
      const all = branches.map((one) => expectation(one).replace(/^it must be /, ""));
      return all.length === 0
        ? "it is none of what is possible"
        : `it must be ${choice([...new Set(all)])}`;
    }
    default:
      return "it is not valid";
  }
}

function limitOf(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const isLeast = issue.code === "too_small";
  const limit = isLeast ? issue.minimum : issue.maximum;
  const bound = `${isLeast ? "at least" : "at most"} ${limit}`;
  const isExclusive = issue.inclusive === false;
  switch (issue.origin) {
    case "string":
      return isLeast && limit === 1 ? "it must not be empty" : `it must have ${bound} characters`;
    case "array":
    case "set":
    case "map":
      return isLeast && limit === 1 ? "it must not be empty" : `it must have ${bound} entries`;
    default:
      if (isExclusive) return `it must be ${isLeast ? "more" : "less"} than ${limit}`;
      return `it must be ${bound}`;
  }
}

function choice(all: readonly string[]): string {
  return new Intl.ListFormat("en", { type: "disjunction" }).format(all);
}

/** What was given, as JSON, and no more of it than anybody reads. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object" && value !== null) return "an object";
  if (typeof value !== "string") return String(value);
  const text = value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value;
  return printable(JSON.stringify(text.toWellFormed()));
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let current = value;
  for (const name of path) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, name)) {
      return undefined;
    }
    current = Reflect.get(current, name);
  }
  return current;
}
