import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { readListPage } from "./list-page.ts";
import { watchEvents } from "./watch-events.ts";

async function* chunksOf(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const size of sizes) yield bytes.subarray(at, (at += size));
  yield bytes.subarray(at);
}

const names = fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), {
  maxLength: 20,
});

test("the events of a watch are the same however its bytes are cut into chunks", async () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(names, sizes, async (all, cuts) => {
      const lines = all.map((name, at) =>
        JSON.stringify({
          type: at % 2 === 0 ? "ADDED" : "NEWER",
          object: { metadata: { name, resourceVersion: String(at) } },
        }),
      );
      const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join("\n"));
      const found: unknown[] = [];
      for await (const { object } of watchEvents(chunksOf(bytes, cuts), "/api/v1/pods")) {
        found.push(object["metadata"]);
      }
      // Kinds of events that are not known are left out.
      const expected = all.flatMap((name, at) =>
        at % 2 === 0 ? [{ name, resourceVersion: String(at) }] : [],
      );
      expect(found).toEqual(expected);
    }),
    { numRuns: 200 },
  );
});

test("the items of a page are those of its JSON, wherever its metadata is", async () => {
  await fc.assert(
    fc.asyncProperty(names, fc.boolean(), async (all, isFirst) => {
      const items = all.map((name) => ({ metadata: { name, labels: { items: '"]}' } } }));
      const metadata = { resourceVersion: "7", continue: "next" };
      const page = isFirst ? { metadata, items } : { items, metadata };
      const found: unknown[] = [];
      const end = await readListPage(JSON.stringify(page, null, 1), (item) => found.push(item));
      expect(found).toEqual(items);
      expect(end).toEqual({ resourceVersion: "7", next: "next" });
    }),
    { numRuns: 200 },
  );
});

test.each([
  "",
  "null",
  "[]",
  "{}",
  '{"items":[]}',
  '{"items":[],"metadata":{}}',
  '{"items":[{}],"metadata":{"resourceVersion":1}}',
  '{"items":[{]}',
  `{"items":[],"metadata":{"resourceVersion":"1"},"more":"${"x".repeat(70_000)}"}`,
])("%p is no list", async (text) => {
  const page = readListPage(text, () => {});
  const error: unknown = await page.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ kind: "failed", message: expect.stringContaining("no list") });
});

test("an empty page of null, as Go has it, is a list", async () => {
  const text = '{"items":null,"metadata":{"resourceVersion":"1"}}';
  expect(await readListPage(text, () => {})).toEqual({ resourceVersion: "1" });
});

test("a line without an end is given up", async () => {
  const line = new TextEncoder().encode(`{"type":"${"x".repeat(1024 * 1024)}`);
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < 8; at += 1) yield line;
  };
  const read = Array.fromAsync(watchEvents(chunks(), "/api/v1/pods"));
  const error: unknown = await read.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ message: expect.stringContaining("longer than 4 MiB") });
});
