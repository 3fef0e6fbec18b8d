import { expect, test } from "bun:test";
import { configErrorOf, filesOf } from "../../config/configtest/load-text.ts";
import { readCases } from "./access-cases.ts";

test.each([
  ["[]", "c.yaml:1:1: is empty: add a case"],
  ["", "c.yaml:1:1: is empty: add a case"],
  ["a: 1", "c.yaml:1:1: must be a list, not a mapping"],
  [
    '- { principal: a, image: "b c", expect: allow }',
    'c.yaml:1:16: "a" is no principal: write what it is known by and its name, such as user:alice, or anonymous\nc.yaml:1:26: "b c" is no image: write it with its registry, such as ghcr.io/org/app',
  ],
  [
    "- { principal: anonymous, image: nginx }",
    'c.yaml:1:3: [0].expect: must be one of "allow", "refuse", "upstream"',
  ],
])("the cases %j are refused", (text, message) => {
  expect(configErrorOf(() => readCases("c.yaml", filesOf({ "c.yaml": text })))).toBe(message);
});

test("a file of cases that does not exist is said to be so", () => {
  expect(configErrorOf(() => readCases("none.yaml", filesOf({})))).toBe(
    '"none.yaml" does not exist',
  );
});
