import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { eachElement } from "./json-elements.ts";
import { eventLoopTurns } from "./ocitest/event-loop-turns.ts";

async function elementsOf(text: string, key = "tags"): Promise<[string, unknown[]]> {
  const elements: unknown[] = [];
  const found = await eachElement(text, key, (batch) => elements.push(...batch));
  return [found, elements];
}

test("the elements of any array are those that JSON.parse finds", async () => {
  const value = fc.jsonValue({ maxDepth: 4 });
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.string(), value),
      fc.array(value),
      fc.dictionary(fc.string(), value),
      fc.constantFrom(undefined, 1),
      async (before, tags, after, indent) => {
        const text = JSON.stringify({ ...before, tags, ...after }, null, indent);
        // The document is an object, written above.
        const parsed = JSON.parse(text) as Record<string, unknown>;
        const expected = parsed["tags"];
        const [found, elements] = await elementsOf(text);
        if (Array.isArray(expected)) expect([found, elements]).toEqual(["array", expected]);
        else expect(found).toBe(expected === null ? "null" : "other");
      },
    ),
  );
});

test.each([
  ['{"tags":[]}', "array"],
  ['{"tags":null}', "null"],
  ['{"a":{"tags":[1]},"tags": null }', "null"],
  ['{"tags":"[1]"}', "other"],
  ['{"tags":{"a":[1]},"b":[2]}', "other"],
  ['{"a":{"tags":[1]},"b":"tags","c":["tags",[2]]}', "missing"],
  ["{}", "missing"],
])("without elements: %s", async (text, found) => {
  expect(await elementsOf(text)).toEqual([found, []]);
});

test.each([
  "",
  "[]",
  '"tags"',
  "x{}",
  "{}x",
  "{}{}",
  '{"tags":[1',
  '{"tags":[1}',
  '{"tags":["a]}',
  '{"tags":[1,,2]}',
  '{"tags":[1,]}',
  '{"tags":[1],"tags":[2]}',
  `{"tags":${"[".repeat(1_000_000)}`,
  `{"tags":[${JSON.stringify("x".repeat(2_000_000))},1]}`,
])("invalid text %# is rejected", async (text) => {
  expect(await elementsOf(text).catch((error: unknown) => error)).toBeInstanceOf(SyntaxError);
});

test("200,000 tags beside other members are parsed in steps between which other work runs", async () => {
  const tags = Array.from({ length: 200_000 }, (_, at) => `sha-${at}-\\"é`);
  const manifest = Object.fromEntries(tags.slice(0, 50_000).map((tag) => [tag, { tag: [tag] }]));
  const text = JSON.stringify({ manifest, tags });
  let [found, elements]: [string, unknown[]] = ["", []];
  const turns = await eventLoopTurns(async () => {
    [found, elements] = await elementsOf(text);
  });
  expect([found, elements.length, elements.at(-1)]).toEqual(["array", 200_000, tags.at(-1)]);
  expect(turns).toBeGreaterThan(3);
});
