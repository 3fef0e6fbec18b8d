import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { eventLoopTurns } from "../../oci/ocitest/event-loop-turns.ts";
import { TagCollector, tagsAfter } from "./tag-text.ts";

const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,3}$/);

async function textOf(pages: readonly (readonly string[])[]): Promise<string> {
  const collector = new TagCollector();
  for (const page of pages) await collector.add(page);
  return collector.text();
}

test("pages in any order become a sorted list without duplicates, read from any tag on", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(tag)), tag, fc.nat(5), async (pages, last, limit) => {
      const text = await textOf(pages);
      const sorted = [...new Set(pages.flat())].sort();
      expect(tagsAfter(text, undefined, 1000)).toEqual({ tags: sorted, more: false });
      const rest = sorted.filter((one) => one > last);
      const page = { tags: rest.slice(0, limit), more: rest.length > limit };
      expect(tagsAfter(text, last, limit)).toEqual(page);
    }),
  );
});

test("200,000 tags in the order of pushing are sorted in steps between which other work runs", async () => {
  const tags = Array.from({ length: 200_000 }, (_, at) => `sha-${(at * 7_919) % 200_000}`);
  let text = "";
  const turns = await eventLoopTurns(async () => {
    text = await textOf([tags]);
    expect(tagsAfter(text, "sha-5", 10_000).tags).toHaveLength(10_000);
  });
  expect(text.split("\n")).toEqual([...tags].sort());
  expect(turns).toBeGreaterThan(40);
});
