import { afterEach, beforeEach, expect, test } from "bun:test";
import { digestNumber, repositoryRef, tag } from "../storetest/sample-names.ts";
import type { MetadataStore, Link, TagRecord } from "../metadata-store.ts";
import { openMetadata } from "../sql/open-metadata.ts";
import { CachedLinks, QUERIES_PER_TURN } from "./cached-links.ts";
import { CachedTags } from "./cached-tags.ts";
import { eventLoopTurns } from "../../oci/ocitest/event-loop-turns.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const [one, two] = [digestNumber(1), digestNumber(2)];
let metadata: MetadataStore;

beforeEach(async () => {
  metadata = await openMetadata(":memory:");
});
afterEach(() => metadata.close());

/** Links whose queries wait for `release`, as in a busy database, and how many queries there were. */
function slowLinks(): {
  links: CachedLinks;
  queries: () => number;
  queried: Promise<void>;
  release: () => void;
} {
  let queries = 0;
  const queried = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const slow = Object.create(metadata.links, {
    get: {
      value: async (
        ...parameters: Parameters<typeof metadata.links.get>
      ): Promise<Link | undefined> => {
        queries += 1;
        const link = await metadata.links.get(...parameters);
        queried.resolve();
        await gate.promise;
        return link;
      },
    },
    // Bound to the object below, since this one does not have its private fields.
    add: { value: metadata.links.add.bind(metadata.links) },
    remove: { value: metadata.links.remove.bind(metadata.links) },
  });
  const links = new CachedLinks(slow);
  return { links, queries: () => queries, queried: queried.promise, release: gate.resolve };
}

test("a confirmed link is queried once, and again after it was written", async () => {
  const confirmed = true;
  await metadata.links.add(nginx, [{ digest: one, size: 7, confirmed }]);
  const { links, queries, release } = slowLinks();
  release();
  for (let turn = 0; turn < 3; turn += 1) {
    expect(await links.get(nginx, one)).toEqual({ digest: one, size: 7, confirmed });
  }
  expect(queries()).toBe(1);
  await links.add(nginx, [{ digest: one, size: 8 }, { digest: two }]);
  expect(await links.get(nginx, one)).toEqual({ digest: one, size: 8, confirmed });
  expect(queries()).toBe(2);
  expect(await links.get(repositoryRef("ghcr.io", "library/nginx"), one)).toBeUndefined();
});

test("a claimed link is not cached, so that a link of another repository can confirm it", async () => {
  await metadata.links.add(nginx, [{ digest: one, size: 7 }]);
  const { links, release } = slowLinks();
  release();
  expect(await links.get(nginx, one)).toEqual({ digest: one, size: 7 });
  const other = repositoryRef("docker.io", "library/redis");
  await links.add(other, [{ digest: one, confirmed: true }]);
  const elsewhere = { confirmed: true, isConfirmedElsewhere: true } as const;
  expect(await links.get(nginx, one)).toEqual({ digest: one, size: 7, ...elsewhere });
  await links.remove(other, one);
  expect(await links.get(nginx, one)).toEqual({ digest: one, size: 7 });
});

test("a missing link is not cached", async () => {
  const { links, queries, release } = slowLinks();
  release();
  expect(await links.get(nginx, one)).toBeUndefined();
  expect(await links.get(nginx, one)).toBeUndefined();
  expect(queries()).toBe(2);
});

test("a link that is removed during its query is not cached", async () => {
  await metadata.links.add(nginx, [{ digest: one }]);
  const { links, queried, release } = slowLinks();
  const before = links.get(nginx, one);
  await queried;
  await links.remove(nginx, one);
  release();
  expect(await before).toEqual({ digest: one });
  expect(await links.get(nginx, one)).toBeUndefined();
});

test("a tag has its latest record, also when it is written during a query", async () => {
  const [queried, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let queries = 0;
  const tags = new CachedTags(
    Object.create(metadata.tags, {
      get: {
        value: async (...parameters: Parameters<typeof metadata.tags.get>) => {
          queries += 1;
          const record: TagRecord | undefined = await metadata.tags.get(...parameters);
          queried.resolve();
          await gate.promise;
          return record;
        },
      },
      put: { value: metadata.tags.put.bind(metadata.tags) },
      remove: { value: metadata.tags.remove.bind(metadata.tags) },
    }),
  );
  await tags.put(nginx, tag("1"), { digest: one, checkedAt: 1 });
  const before = tags.get(nginx, tag("1"));
  await queried.promise;
  await tags.put(nginx, tag("1"), { digest: two, checkedAt: 2 });
  gate.resolve();
  expect(await before).toEqual({ digest: one, checkedAt: 1 });
  for (let turn = 0; turn < 3; turn += 1) {
    expect(await tags.get(nginx, tag("1"))).toEqual({ digest: two, checkedAt: 2 });
  }
  expect(queries).toBe(2);
  await tags.remove(nginx, tag("1"));
  expect(await tags.get(nginx, tag("1"))).toBeUndefined();
});

test("what is in memory is answered at once, beside many queries that take turns", async () => {
  const links = new CachedLinks(metadata.links);
  const tags = new CachedTags(metadata.tags);
  await links.add(nginx, [{ digest: one, confirmed: true }]);
  await tags.put(nginx, tag("1"), { digest: one, checkedAt: 1 });
  await Promise.all([links.get(nginx, one), tags.get(nginx, tag("1"))]);
  const missing = Array.from({ length: 320 }, (_, number) => number);
  const [forLinks, forTags] = [
    await eventLoopTurns(async () => {
      const queries = Promise.all(
        missing.map((number) => links.get(nginx, digestNumber(1e6 + number))),
      );
      expect(await eventLoopTurns(() => links.get(nginx, one))).toBe(0);
      await queries;
    }),
    await eventLoopTurns(async () => {
      const queries = Promise.all(
        missing.map((number) => tags.get(nginx, tag(`missing-${number}`))),
      );
      expect(await eventLoopTurns(() => tags.get(nginx, tag("1")))).toBe(0);
      await queries;
    }),
  ];
  expect(forLinks).toBeGreaterThanOrEqual(320 / QUERIES_PER_TURN - 1);
  expect(forTags).toBeGreaterThanOrEqual(320 / QUERIES_PER_TURN - 1);
});
