import { afterEach, beforeEach, expect, test } from "bun:test";
import { digestNumber, place, tag } from "../storetest/metadata-conformance.ts";
import type { Index, Link, TagFact } from "../metadata-store.ts";
import { openIndex } from "../sql/open-metadata.ts";
import { RememberedLinks } from "./cached-links.ts";
import { RememberedTags } from "./cached-tags.ts";

const nginx = place("docker.io", "library/nginx");
const [one, two] = [digestNumber(1), digestNumber(2)];
let index: Index;

beforeEach(async () => {
  index = await openIndex(":memory:");
});
afterEach(() => index.close());

/** Links whose answers wait for `release`, as those of a database that is busy. */
function slowLinks(): { links: RememberedLinks; asked: () => number; release: () => void } {
  let asked = 0;
  const gate = Promise.withResolvers<void>();
  const slow = Object.create(index.links, {
    get: {
      value: async (...question: Parameters<typeof index.links.get>): Promise<Link | undefined> => {
        asked += 1;
        const answer = await index.links.get(...question);
        await gate.promise;
        return answer;
      },
    },
    // Called on the object below, whose private fields this one has not.
    add: { value: index.links.add.bind(index.links) },
    remove: { value: index.links.remove.bind(index.links) },
  });
  return { links: new RememberedLinks(slow), asked: () => asked, release: gate.resolve };
}

test("a link is asked for once, and again after it was written", async () => {
  await index.links.add(nginx, [{ digest: one, size: 7 }]);
  const { links, asked, release } = slowLinks();
  release();
  for (let turn = 0; turn < 3; turn += 1) {
    expect(await links.get(nginx, one)).toEqual({ digest: one, size: 7 });
  }
  expect(asked()).toBe(1);
  await links.add(nginx, [{ digest: one, size: 8 }, { digest: two }]);
  expect(await links.get(nginx, one)).toEqual({ digest: one, size: 8 });
  expect(asked()).toBe(2);
  expect(await links.get(place("ghcr.io", "library/nginx"), one)).toBeUndefined();
});

test("what is missing is not remembered", async () => {
  const { links, asked, release } = slowLinks();
  release();
  expect(await links.get(nginx, one)).toBeUndefined();
  expect(await links.get(nginx, one)).toBeUndefined();
  expect(asked()).toBe(2);
});

test("an answer that a removal has overtaken is not remembered", async () => {
  await index.links.add(nginx, [{ digest: one }]);
  const { links, release } = slowLinks();
  const before = links.get(nginx, one);
  await links.remove(nginx, one);
  release();
  expect(await before).toEqual({ digest: one });
  expect(await links.get(nginx, one)).toBeUndefined();
});

test("a tag is what was last written, also where an answer was on its way", async () => {
  const gate = Promise.withResolvers<void>();
  let asked = 0;
  const tags = new RememberedTags(
    Object.create(index.tags, {
      get: {
        value: async (...question: Parameters<typeof index.tags.get>) => {
          asked += 1;
          const answer: TagFact | undefined = await index.tags.get(...question);
          await gate.promise;
          return answer;
        },
      },
      put: { value: index.tags.put.bind(index.tags) },
      remove: { value: index.tags.remove.bind(index.tags) },
    }),
  );
  await tags.put(nginx, tag("1"), { digest: one, checkedAt: 1 });
  const before = tags.get(nginx, tag("1"));
  await tags.put(nginx, tag("1"), { digest: two, checkedAt: 2 });
  gate.resolve();
  expect(await before).toEqual({ digest: one, checkedAt: 1 });
  for (let turn = 0; turn < 3; turn += 1) {
    expect(await tags.get(nginx, tag("1"))).toEqual({ digest: two, checkedAt: 2 });
  }
  expect(asked).toBe(2);
  await tags.remove(nginx, tag("1"));
  expect(await tags.get(nginx, tag("1"))).toBeUndefined();
});
