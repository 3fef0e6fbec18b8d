import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Digest, digestOf } from "../oci/digest.ts";
import { parseRepositoryName, parseTag, type Tag, parseUpstreamName } from "../oci/names.ts";
import type { Index, Link, Place } from "./index.ts";

export function place(upstream: string, repository: string): Place {
  return {
    upstream: must(parseUpstreamName(upstream)),
    repository: must(parseRepositoryName(repository)),
  };
}

export function tag(text: string): Tag {
  return must(parseTag(text));
}

/** Any digest, the same for the same number. */
export function digestNumber(number: number): Digest {
  return digestOf(new TextEncoder().encode(String(number)));
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("a test's own words do not parse");
  return value;
}

/** What every index has to do. `open` gives an empty one. */
export function indexConformance(
  adapter: string,
  open: () => Promise<{ index: Index; close(): Promise<void> }>,
): void {
  describe(`${adapter} as an index`, () => {
    let opened: { index: Index; close(): Promise<void> };
    let index: Index;
    const nginx = place("docker.io", "library/nginx");
    const [one, two, three] = [digestNumber(1), digestNumber(2), digestNumber(3)];

    beforeEach(async () => {
      opened = await open();
      index = opened.index;
    });
    afterEach(() => opened.close());

    test("knows what a tag pointed at last, in its place alone", async () => {
      expect(await index.tags.get(nginx, tag("latest"))).toBeUndefined();
      await index.tags.put(nginx, tag("latest"), { digest: one, checkedAt: 1_790_000_000_000 });
      await index.tags.put(nginx, tag("latest"), { digest: two, checkedAt: 1_790_000_000_123 });
      const fact = { digest: two, checkedAt: 1_790_000_000_123 };
      expect(await index.tags.get(nginx, tag("latest"))).toEqual(fact);
      for (const [elsewhere, name] of [
        [place("ghcr.io", "library/nginx"), "latest"],
        [place("docker.io", "library/redis"), "latest"],
        [nginx, "LATEST"],
      ] as const) {
        expect(await index.tags.get(elsewhere, tag(name))).toBeUndefined();
      }
      await index.tags.remove(nginx, tag("latest"));
      await index.tags.remove(nginx, tag("latest"));
      expect(await index.tags.get(nginx, tag("latest"))).toBeUndefined();
    });

    test("lists the tags of a repository by their bytes", async () => {
      const names = ["v1", "1.2", "latest", "V1", "_x", "1.10"];
      for (const name of names) {
        await index.tags.put(nginx, tag(name), { digest: one, checkedAt: 1 });
      }
      await index.tags.put(place("ghcr.io", "library/nginx"), tag("other"), {
        digest: one,
        checkedAt: 1,
      });
      const listed: string[] = await index.tags.list(nginx);
      expect(listed).toEqual(["1.10", "1.2", "V1", "_x", "latest", "v1"]);
      expect(await index.tags.list(place("docker.io", "library/redis"))).toEqual([]);
    });

    test("knows what may be seen where", async () => {
      await index.links.add(nginx, [{ digest: one, size: 5_000_000_000 }, { digest: two }]);
      expect(await index.links.get(nginx, one)).toEqual({ digest: one, size: 5_000_000_000 });
      expect(await index.links.get(nginx, two)).toEqual({ digest: two });
      expect(await index.links.get(nginx, three)).toBeUndefined();
      expect(await index.links.get(place("ghcr.io", "library/nginx"), one)).toBeUndefined();
      await index.links.remove(nginx, one);
      await index.links.remove(nginx, one);
      expect(await index.links.get(nginx, one)).toBeUndefined();
      expect(await index.links.get(nginx, two)).toEqual({ digest: two });
    });

    test("keeps a link's size where a later one has none", async () => {
      await index.links.add(nginx, [{ digest: one, size: 5 }, { digest: two }]);
      await index.links.add(nginx, [{ digest: one }, { digest: two, size: 6 }]);
      expect(await index.links.get(nginx, one)).toEqual({ digest: one, size: 5 });
      expect(await index.links.get(nginx, two)).toEqual({ digest: two, size: 6 });
      await index.links.add(nginx, [{ digest: one, size: 7 }]);
      expect(await index.links.get(nginx, one)).toEqual({ digest: one, size: 7 });
    });

    test("takes a layer that an image names twice, no links, and very many", async () => {
      await index.links.add(nginx, [{ digest: one, size: 5 }, { digest: one }]);
      expect(await index.links.get(nginx, one)).toEqual({ digest: one, size: 5 });
      await index.links.add(nginx, []);
      const many: Link[] = Array.from({ length: 10_000 }, (_, at) => ({
        digest: digestNumber(at),
        size: at,
      }));
      await index.links.add(nginx, many);
      for (const at of [0, 127, 128, 129, 9999]) {
        expect(await index.links.get(nginx, digestNumber(at))).toEqual({
          digest: digestNumber(at),
          size: at,
        });
      }
    });

    test("lists the repositories of an upstream in pages", async () => {
      for (const name of ["b/x", "a", "b-c", "b", "a/z"]) {
        await index.links.add(place("quay.io", name), [{ digest: one }, { digest: two }]);
      }
      await index.links.add(nginx, [{ digest: one }]);
      const { upstream } = place("quay.io", "a");
      const page = async (limit: number, last?: string): Promise<string[]> =>
        index.links.repositories(upstream, limit, last);
      expect(await page(10)).toEqual(["a", "a/z", "b", "b-c", "b/x"]);
      expect(await page(2)).toEqual(["a", "a/z"]);
      expect(await page(2, "a/z")).toEqual(["b", "b-c"]);
      expect(await page(2, "b-b")).toEqual(["b-c", "b/x"]);
      expect(await page(2, "b/x")).toEqual([]);
    });

    test("knows contents, and counts them", async () => {
      expect(await index.contents.total()).toEqual({ count: 0, bytes: 0 });
      const mediaType = "application/vnd.oci.image.manifest.v1+json";
      await index.contents.put({ digest: one, size: 5_000_000_000 }, 1);
      await index.contents.put({ digest: two, size: 700, mediaType }, 1);
      expect(await index.contents.get(one)).toEqual({ digest: one, size: 5_000_000_000 });
      expect(await index.contents.get(two)).toEqual({ digest: two, size: 700, mediaType });
      expect(await index.contents.get(three)).toBeUndefined();
      expect(await index.contents.total()).toEqual({ count: 2, bytes: 5_000_000_700 });
      await index.contents.put({ digest: two, size: 700 }, 2);
      expect(await index.contents.get(two)).toEqual({ digest: two, size: 700, mediaType });
      await index.contents.put({ digest: one, size: 6, mediaType }, 2);
      expect(await index.contents.get(one)).toEqual({ digest: one, size: 6, mediaType });
      await index.contents.remove(one);
      await index.contents.remove(one);
      expect(await index.contents.get(one)).toBeUndefined();
      expect(await index.contents.total()).toEqual({ count: 1, bytes: 700 });
    });

    test("takes use times of what is there and of what is not", async () => {
      await index.contents.put({ digest: one, size: 1 }, 5);
      const times = Array.from({ length: 600 }, (_, at): [Digest, number] => [
        digestNumber(at),
        at,
      ]);
      await index.contents.used(new Map(times));
      await index.contents.used(new Map());
      expect(await index.contents.total()).toEqual({ count: 1, bytes: 1 });
    });

    test("keeps the last answer that was a list", async () => {
      expect(await index.listings.get(nginx, "tags")).toBeUndefined();
      await index.listings.put(nginx, "tags", { body: "old", checkedAt: 1 });
      await index.listings.put(nginx, "tags", { body: '{"ä":"\u{1F6A2}"}', checkedAt: 2 });
      await index.listings.put(nginx, "referrers", { body: "", checkedAt: 3 });
      expect(await index.listings.get(nginx, "tags")).toEqual({
        body: '{"ä":"\u{1F6A2}"}',
        checkedAt: 2,
      });
      expect(await index.listings.get(nginx, "referrers")).toEqual({ body: "", checkedAt: 3 });
      expect(await index.listings.get(place("quay.io", "a"), "tags")).toBeUndefined();
    });

    test("takes many callers at once", async () => {
      await Promise.all(
        Array.from({ length: 200 }, async (_, at) => {
          await index.links.add(nginx, [{ digest: digestNumber(at), size: at }]);
          await index.contents.put({ digest: digestNumber(at), size: at }, at);
          await index.contents.used(new Map([[digestNumber(at), at + 1]]));
        }),
      );
      expect((await index.contents.total()).count).toBe(200);
    });
  });
}
