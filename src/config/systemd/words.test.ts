import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { splitWords, WordError } from "./words.ts";

test.each<[text: string, words: string[]]>([
  ["", []],
  ["  a  b\tc ", ["a", "b", "c"]],
  [`a="b c" 'd "e' f`, ["a=b c", `d "e`, "f"]],
  [`"" ''`, ["", ""]],
  [String.raw`a\x20b \101 \u00e9 \U0001F40B \s \n`, ["a b", "A", "é", "🐋", " ", "\n"]],
  [String.raw`"a\"b" 'c\'d' e\\f`, [`a"b`, "c'd", String.raw`e\f`]],
  ["$(id) `id` ${X} %h;#", ["$(id)", "`id`", "${X}", "%h;#"]],
])("%p is split as systemd does", (text, words) => {
  expect(splitWords(text)).toEqual(words);
});

test.each([
  ["a 'b", "has a ' without its end"],
  [String.raw`a\q`, String.raw`has \q, which is no escape of systemd`],
  ["a\\", "has \\, which is no escape of systemd"],
  [String.raw`\x00`, String.raw`has \x, which is no escape of systemd`],
  [String.raw`\UFFFFFFFF`, String.raw`has \U, which is no escape of systemd`],
])("%p is refused", (text, message) => {
  expect(() => splitWords(text)).toThrow(new WordError(message));
});

test("words that are quoted come back as they were", () => {
  const quoted = (word: string): string =>
    `"${word.replaceAll(/[\\"]/g, (character) => `\\${character}`)}"`;
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" })), (words) => {
      expect(splitWords(words.map(quoted).join(" "))).toEqual(words);
    }),
  );
});
