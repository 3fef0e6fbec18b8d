import { expect, test } from "bun:test";
import { z } from "zod";
import { pageQuery } from "../../api/page.ts";
import { nodeReportSchema } from "../../api/nodes.ts";
import { parsedText } from "../../api/parsed-text.ts";
import { warmOrderSchema } from "../../api/warm.ts";
import { parsePart, type RequestPart } from "./invalid-request.ts";
import { ProblemError } from "./problem-details.ts";

function detailOf(part: RequestPart, schema: z.ZodType, value: unknown): string {
  try {
    parsePart(part, schema, value);
  } catch (error) {
    if (error instanceof ProblemError && error.problem.status === 400) return error.problem.detail;
    throw error;
  }
  return "none";
}

const body = z.strictObject({
  name: z.string().min(1).max(5),
  rate: z.number().positive().optional(),
  steps: z.int().multipleOf(5).optional(),
  list: z.array(z.string()).max(2).optional(),
  tags: z.array(z.string()).min(1).optional(),
  deep: z.strictObject({ "a/b~c": z.boolean() }).optional(),
  either: z.union([z.string(), z.number()]).optional(),
  form: z.string().regex(/^\d+$/).optional(),
  own: parsedText(() => undefined).optional(),
  by: z.record(z.string(), z.number()).optional(),
});
const query = z.strictObject(pageQuery);
const name = { name: "a" };

test.each<[part: RequestPart, schema: z.ZodType, value: unknown, detail: string]>([
  ["body", body, name, "none"],
  ["body", body, {}, "field /name of the body is missing: it must be text"],
  ["body", body, { name: null }, "field /name of the body is null: it must be text"],
  ["body", body, { name: ["a"] }, "field /name of the body is a list: it must be text"],
  ["body", body, { name: "" }, 'field /name of the body is "": it must not be empty'],
  [
    "body",
    body,
    { name: "abcdef" },
    'field /name of the body is "abcdef": it must have at most 5 characters',
  ],
  ["body", body, [], "the body is an empty list: it must be an object"],
  ["body", body, "x", 'the body is "x": it must be an object'],
  ["body", body, { ...name, rate: 0 }, "field /rate of the body is 0: it must be more than 0"],
  ["body", body, { ...name, rate: "1" }, 'field /rate of the body is "1": it must be a number'],
  [
    "body",
    body,
    { ...name, steps: 1.5 },
    "field /steps of the body is 1.5: it must be a whole number",
  ],
  [
    "body",
    body,
    { ...name, steps: 7 },
    "field /steps of the body is 7: it must be a multiple of 5",
  ],
  [
    "body",
    body,
    { ...name, list: ["a", "b", "c"] },
    "field /list of the body is a list: it must have at most 2 entries",
  ],
  ["body", body, { ...name, list: ["a", 2] }, "field /list/1 of the body is 2: it must be text"],
  [
    "body",
    body,
    { ...name, tags: [] },
    "field /tags of the body is an empty list: it must not be empty",
  ],
  [
    "body",
    body,
    { ...name, deep: { "a/b~c": 1 } },
    "field /deep/a~1b~0c of the body is 1: it must be true or false",
  ],
  [
    "body",
    body,
    { ...name, either: true },
    "field /either of the body is true: it must be text or a number",
  ],
  [
    "body",
    body,
    { ...name, form: "x" },
    'field /form of the body is "x": it must be as /^\\d+$/ has it',
  ],
  ["body", body, { ...name, own: "x" }, 'field /own of the body is "x": "x" is not valid'],
  [
    "body",
    body,
    { ...name, by: { a: "1" } },
    'field /by/a of the body is "1": it must be a number',
  ],
  [
    "body",
    body,
    { ...name, nmae: "a" },
    'there is no field /nmae of the body: did you mean "name"?',
  ],
  [
    "body",
    body,
    { name: 1, rate: "1" },
    'field /name of the body is 1: it must be text; field /rate of the body is "1": it must be a number',
  ],
  [
    "body",
    nodeReportSchema,
    { address: "node", state: "wired", runtimes: [] },
    'field /address of the body is "node": it is not an IP address',
  ],
  [
    "body",
    warmOrderSchema,
    { from: ["moon"] },
    'field /from/0 of the body is "moon": it must be "cluster", "pulls", or "lists"',
  ],
  ["query", query, { limit: "x" }, 'parameter "limit" of the query is "x": it must be a number'],
  [
    "query",
    query,
    { limit: "1.5" },
    'parameter "limit" of the query is "1.5": it must be a whole number',
  ],
  ["query", query, { limit: "0" }, 'parameter "limit" of the query is "0": it must be at least 1'],
  [
    "query",
    query,
    { limits: "1" },
    'there is no parameter "limits" of the query: did you mean "limit"?',
  ],
  ["query", query, { x: "1" }, 'there is no parameter "x" of the query: there is cursor, limit'],
  [
    "path",
    z.strictObject({ id: z.string().max(3) }),
    { id: "abcd" },
    'parameter "id" of the path is "abcd": it must have at most 3 characters',
  ],
])("what is wrong is said in plain words (%#)", (part, schema, value, detail) => {
  expect(detailOf(part, schema, value)).toBe(detail);
});

test("long values and many problems are cut", () => {
  const detail = detailOf(
    "body",
    z.array(z.number()),
    Array.from({ length: 50 }, () => "y".repeat(500)),
  );
  expect(detail.split("; ")).toHaveLength(11);
  expect(detail.length).toBeLessThan(2000);
  expect(detail).toEndWith("; and more");
});
