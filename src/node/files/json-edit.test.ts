import { describe, expect, test } from "bun:test";
import { array, assert, constantFrom, jsonValue, property, string } from "fast-check";
import { JsonDocument, JsonSyntaxError } from "./json-edit.ts";

const first = (text: string): string => new JsonDocument(text).withFirst("list", "new").text;

describe("a string is added in front of a list, and no other byte changes", () => {
  test.each([
    ["a list on one line", `{"list": ["a"], "x":  1}`, `{"list": ["new", "a"], "x":  1}`],
    ["a padded list", `{"list": [ "a" ]}`, `{"list": [ "new", "a" ]}`],
    ["an empty list", `{"list": [ ]}`, `{"list": ["new"]}`],
    [
      "a list on lines",
      `{\r\n\t"list": [\r\n\t\t"a"\r\n\t]}`,
      `{\r\n\t"list": [\r\n\t\t"new",\r\n\t\t"a"\r\n\t]}`,
    ],
    ["another key on a line", `{\n    "x":   1\n}\n`, `{\n    "x":   1,\n    "list": ["new"]\n}\n`],
    ["another key beside", `{"x":1}`, `{"x":1, "list": ["new"]}`],
    ["an empty object", `{}`, `{\n  "list": ["new"]\n}`],
    ["an empty file", ``, `{\n  "list": ["new"]\n}\n`],
    ["a byte order mark", `\uFEFF{"list":["a"]}`, `\uFEFF{"list":["new", "a"]}`],
    ["a list that is null", `{"list": null, "x": 1}`, `{"list": ["new"], "x": 1}`],
    ["a key twice", `{"list":["old"],"list":["a"]}`, `{"list":["old"],"list":["new", "a"]}`],
  ])("%s", (_, before, after) => {
    expect(first(before)).toBe(after);
  });
});

test("of keys with the same name the last one counts, as it is the one that is edited", () => {
  const document = new JsonDocument(
    `{"a": {"b": 1}, "list": ["old"], "a": {"b": 2}, "list": ["a"]}`,
  );
  expect(document.strings("list")).toEqual(["a"]);
  expect(document.value("a", "b")).toBe(2);
  expect(new JsonDocument(`{"list": null}`).strings("list")).toEqual([]);
});

test("a text that is nested too deeply is refused, and does not exhaust the stack", () => {
  const deep = `{\n"a": ${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  expect(() => new JsonDocument(deep)).toThrow(JsonSyntaxError);
});

test("a string is removed from a list, which stays", () => {
  const without = (text: string): string => new JsonDocument(text).without("list", "a").text;
  expect(without(`{"list": ["a"]}`)).toBe(`{"list": []}`);
  expect(without(`{"list": ["a", "b"]}`)).toBe(`{"list": ["b"]}`);
  expect(without(`{"list": ["b",  "a" ]}`)).toBe(`{"list": ["b" ]}`);
  expect(without(`{"list": ["a", "b", "a", "a"]}`)).toBe(`{"list": ["b"]}`);
  expect(without(`{"other": ["a"]}`)).toBe(`{"other": ["a"]}`);
});

test("what is added and removed again leaves the text as it was, whatever else is in it", () => {
  const value = jsonValue({ maxDepth: 3 });
  const list = array(
    string().filter((it) => it !== "new"),
    { minLength: 1 },
  );
  const restored = property(value, list, constantFrom(0, 2, "\t"), (other, items, indent) => {
    const text = JSON.stringify({ other, list: items, last: other }, undefined, indent);
    const added = new JsonDocument(text).withFirst("list", "new");
    expect(JSON.parse(added.text)).toEqual({
      ...(JSON.parse(text) as object),
      list: ["new", ...items],
    });
    expect(added.without("list", "new").text).toBe(text);
  });
  assert(restored, { numRuns: 200 });
});

test("what dockerd cannot read is an error with its place", () => {
  const errorOf = (text: string): unknown => {
    try {
      return new JsonDocument(text);
    } catch (error) {
      return error;
    }
  };
  expect(errorOf(`{\n  "a": 1,\n}`)).toMatchObject({ line: 3, column: 1 });
  expect(errorOf(`{ // comment\n}`)).toBeInstanceOf(JsonSyntaxError);
  expect(errorOf(`["a"]`)).toMatchObject({ message: "it is not an object", line: 1 });
});
