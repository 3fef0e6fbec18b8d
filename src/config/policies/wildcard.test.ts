import { expect, test } from "bun:test";
import { array, assert, constantFrom, property, string } from "fast-check";
import { matchesWildcard } from "./wildcard.ts";

test.each([
  ["https://github.com/acme/*", "https://github.com/acme/app/.github/workflows/x.yml@refs/tags/v1"],
  ["*@acme.example", "jane@acme.example"],
  ["a*b*c", "abc"],
  ["a*b*c", "a-b-b-c"],
  ["exact", "exact"],
  ["*", ""],
])("%s matches %s", (pattern, text) => {
  expect(matchesWildcard(pattern, text)).toBe(true);
});

test.each([
  ["https://github.com/acme/*", "https://github.com/acme-evil/app"],
  ["*@acme.example", "jane@acme.example.evil.test"],
  ["exact", "exactly"],
  ["exact", "EXACT"],
  ["a*a", "a"],
  ["a*b*b", "ab"],
  ["a.c", "abc"],
])("%s does not match %s", (pattern, text) => {
  expect(matchesWildcard(pattern, text)).toBe(false);
});

test("a pattern matches whatever its asterisks are replaced with", () => {
  const parts = array(string({ unit: constantFrom("a", "b", "/") }), {
    minLength: 1,
    maxLength: 5,
  });
  assert(
    property(parts, array(string({ unit: constantFrom("a", "b", "*") })), (texts, fills) => {
      const text = texts.reduce((whole, part, index) => whole + (fills[index] ?? "") + part);
      return matchesWildcard(texts.join("*"), text);
    }),
  );
});
