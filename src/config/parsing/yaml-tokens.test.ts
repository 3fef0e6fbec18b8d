import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseAllDocuments, parseDocument } from "yaml";
import { ConfigError } from "./problems.ts";
import { parseDocuments, parseOnlyDocument } from "./yaml-tokens.ts";

const GOLDEN = path.join(import.meta.dir, "../../../test/golden/import");
const files = readdirSync(GOLDEN, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.ya?ml$/.test(name))
  .map((name) => readFileSync(path.join(GOLDEN, name), "utf8"));
const odd = [
  "",
  "# c",
  "a: |\n [[[\n---\n]",
  "a: '---'\n...\n",
  "[a\nb: }",
  "\uFEFFa: 1",
  "--- |\n[\n",
];
const options = { uniqueKeys: false, prettyErrors: false, logLevel: "error" } as const;

test("parsing one text several times, with other options, is parsing it anew", () => {
  const failsafe = { ...options, schema: "failsafe", merge: true } as const;
  for (const text of [...files, ...odd]) {
    for (const each of [options, failsafe, options]) {
      const expected = [...parseAllDocuments(text, each)].map((one) => one.toJSON() as unknown);
      const { documents } = parseDocuments("f", text, each);
      expect(documents.map((one) => one.toJSON() as unknown)).toEqual(expected);
    }
    const { document } = parseOnlyDocument("f", text, options);
    const expected = parseDocument(text, options);
    expect(document.errors.map(({ code, pos }) => [code, pos[0]])).toEqual(
      expected.errors.map(({ code, pos }) => [code, pos[0]]),
    );
    expect(document.range).toEqual(expected.range);
  }
});

test.each([
  [
    "documents",
    "---\na: 1\n".repeat(1001),
    "f:2001:1: more than 1000 documents: split the file before",
  ],
  ["brackets", `a: b\nc: ${"[".repeat(600)}`, "f:2:516: the nesting is too deep"],
  ["values", "a: b\n".repeat(60_001), "f:42858:1: too many keys and values: split the file before"],
])("a file with too many %s is rejected before it is parsed", (_, text, message) => {
  const problem = (): unknown => {
    try {
      return parseDocuments("f", text, options);
    } catch (error) {
      return error instanceof ConfigError ? error.message : error;
    }
  };
  expect(problem()).toBe(message);
});
