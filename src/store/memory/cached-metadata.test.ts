import { afterEach, beforeEach, expect, test } from "bun:test";
import { digestNumber, repositoryRef, tag } from "../storetest/sample-names.ts";
import type { MetadataStore, Link, TagRecord } from "../metadata-store.ts";
import { openMetadata } from "../sql/open-metadata.ts";
import { CachedLinks } from "./cached-links.ts";
import { CachedTags } from "./cached-tags.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const [one, two] = [digestNumber(1), digestNumber(2)];
let metadata: MetadataStore;

beforeEach(async () => {
  metadata = await openMetadata(":memory:");
});
afterEach(() => metadata.close());

/** Links whose answers wait for `release`, as those of a database that is busy. */
function slowLinks(): { links: CachedLinks; asked: () => number; release: () => void } {
  let asked = 0;
  const gate = Promise.withResolvers<void>();
  const slow = Object.create(metadata.links, {
    get: {
      value: async (
        ...question: Parameters<typeof metadata.links.get>
      ): Promise<Link | undefined> => {
        asked += 1;
        const answer = await metadata.links.get(...question);
        await gate.promise;
        return answer;
      },
    },
    // Called on the object below, whose private fields this one has not.
    add: { value: metadata.links.add.bind(metadata.links) },
    remove: { value: metadata.links.remove.bind(metadata.links) },
  });
  return { links: new CachedLinks(slow), asked: () => asked, release: gate.resolve };
}

test("a link is asked for once, and again after it was written", async () => {
  await metadata.links.add(nginx, [{ digest: one, size: 7 }]);
  const { links, asked, release } = slowLinks();
  release();
  for (let turn = 0; turn < 3; turn += 1) {
    expect(await links.get(nginx, one)).toEqual({ digest: one, size: 7 });
  }
  expect(asked()).toBe(1);
  await links.add(nginx, [{ digest: one, size: 8 }, { digest: two }]);
  expect(await links.get(nginx, one)).toEqual({ digest: one, size: 8 });
  expect(asked()).toBe(2);
  expect(await links.get(repositoryRef("ghcr.io", "library/nginx"), one)).toBeUndefined();
});

test("what is missing is not remembered", async () => {
  const { links, asked, release } = slowLinks();
  release();
  expect(await links.get(nginx, one)).toBeUndefined();
  expect(await links.get(nginx, one)).toBeUndefined();
  expect(asked()).toBe(2);
});

test("an answer that a removal has overtaken is not remembered", async () => {
  await metadata.links.add(nginx, [{ digest: one }]);
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
  const tags = new CachedTags(
    Object.create(metadata.tags, {
      get: {
        value: async (...question: Parameters<typeof metadata.tags.get>) => {
          asked += 1;
          const answer: TagRecord | undefined = await metadata.tags.get(...question);
          await gate.promise;
          return answer;
        },
      },
      put: { value: metadata.tags.put.bind(metadata.tags) },
      remove: { value: metadata.tags.remove.bind(metadata.tags) },
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
