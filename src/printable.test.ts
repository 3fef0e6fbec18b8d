import { expect, test } from "bun:test";
import { isPrintable, printable, printableJson, printableLines } from "./printable.ts";

test.each([
  ["a\nb\r\tc", "a\\u000ab\\u000d\\u0009c"],
  ["\u001b[2J\u009b2J\u007f", "\\u001b[2J\\u009b2J\\u007f"],
  ["\u2028\u2029\u0085", "\\u2028\\u2029\\u0085"],
  ["\u202egnp.exe\u2069\u061c", "\\u202egnp.exe\\u2069\\u061c"],
  ["\u200b\ufeff\u{e0041}", "\\u200b\\ufeff\\udb40\\udc41"],
  ["half \ud800", "half \\ud800"],
])("what a terminal does not show as itself is escaped: %j", (text, shown) => {
  expect(printable(text)).toBe(shown);
  expect(isPrintable(text)).toBe(false);
  expect(JSON.parse(printableJson({ [text]: text }))).toEqual({ [text]: text });
  expect(printableJson([text]).replaceAll("\n", "")).toSatisfy(isPrintable);
});

test("letters, symbols and emoji stay", () => {
  const text = "Größe 日本 \\ \"quoted\" 'it' $(id) 🚢";
  expect([printable(text), isPrintable(text)]).toEqual([text, true]);
});

test("lines and tabs stay where a text has its own", () => {
  expect(printableLines("{\n\t\u001b[2J\r\n}")).toBe("{\n\t\\u001b[2J\\u000d\n}");
});
