import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import type { MetadataStore } from "../metadata-store.ts";
import { accessConformance } from "./access-conformance.ts";
import { decisionConformance } from "./decision-conformance.ts";
import { linkConformance } from "./link-conformance.ts";
import { digestNumber, repositoryRef, tag } from "./sample-names.ts";
import { tagHistoryConformance } from "./tag-history-conformance.ts";

/**
 * The conformance suite of `MetadataStore`, which every adapter has to pass.
 *
 * @param adapter its name, for the titles of the tests
 * @param open opens an empty store; called before each test
 */
export function metadataConformance(
  adapter: string,
  open: () => Promise<{ metadata: MetadataStore; close(): Promise<void> }>,
): void {
  describe(`${adapter} as a MetadataStore`, () => {
    let opened: { metadata: MetadataStore; close(): Promise<void> };
    let metadata: MetadataStore;
    const nginx = repositoryRef("docker.io", "library/nginx");
    const [one, two, three] = [digestNumber(1), digestNumber(2), digestNumber(3)];

    beforeEach(async () => {
      opened = await open();
      metadata = opened.metadata;
    });
    afterEach(() => opened.close());

    test("a tag has its latest record, in its own repository only", async () => {
      expect(await metadata.tags.get(nginx, tag("latest"))).toBeUndefined();
      await metadata.tags.put(nginx, tag("latest"), { digest: one, checkedAt: 1_790_000_000_000 });
      await metadata.tags.put(nginx, tag("latest"), { digest: two, checkedAt: 1_790_000_000_123 });
      const latest = { digest: two, checkedAt: 1_790_000_000_123 };
      expect(await metadata.tags.get(nginx, tag("latest"))).toEqual(latest);
      for (const [repo, name] of [
        [repositoryRef("ghcr.io", "library/nginx"), "latest"],
        [repositoryRef("docker.io", "library/redis"), "latest"],
        [nginx, "LATEST"],
      ] as const) {
        expect(await metadata.tags.get(repo, tag(name))).toBeUndefined();
      }
      await metadata.tags.remove(nginx, tag("latest"));
      await metadata.tags.remove(nginx, tag("latest"));
      expect(await metadata.tags.get(nginx, tag("latest"))).toBeUndefined();
    });

    test("the tags of a repository are listed in byte order", async () => {
      const names = ["v1", "1.2", "latest", "V1", "_x", "1.10"];
      for (const name of names) {
        await metadata.tags.put(nginx, tag(name), { digest: one, checkedAt: 1 });
      }
      await metadata.tags.put(repositoryRef("ghcr.io", "library/nginx"), tag("other"), {
        digest: one,
        checkedAt: 1,
      });
      const listed: string[] = await metadata.tags.list(nginx);
      expect(listed).toEqual(["1.10", "1.2", "V1", "_x", "latest", "v1"]);
      expect(await metadata.tags.list(repositoryRef("docker.io", "library/redis"))).toEqual([]);
    });

    linkConformance(() => metadata.links);
    accessConformance(() => metadata);
    tagHistoryConformance(() => metadata);
    decisionConformance(() => metadata);

    test("the repositories of an upstream are listed in pages", async () => {
      for (const name of ["b/x", "a", "b-c", "b", "a/z"]) {
        await metadata.links.add(repositoryRef("quay.io", name), [
          { digest: one },
          { digest: two },
        ]);
      }
      await metadata.links.add(nginx, [{ digest: one }]);
      const { upstream } = repositoryRef("quay.io", "a");
      const page = async (limit: number, last?: string): Promise<string[]> =>
        metadata.links.repositories(upstream, limit, last);
      expect(await page(10)).toEqual(["a", "a/z", "b", "b-c", "b/x"]);
      expect(await page(2)).toEqual(["a", "a/z"]);
      expect(await page(2, "a/z")).toEqual(["b", "b-c"]);
      expect(await page(2, "b-b")).toEqual(["b-c", "b/x"]);
      expect(await page(2, "b/x")).toEqual([]);
    });

    test("blob records are added, replaced, counted and removed", async () => {
      expect(await metadata.blobs.total(4096)).toEqual({ count: 0, bytes: 0, diskBytes: 0 });
      const mediaType = "application/vnd.oci.image.manifest.v1+json";
      await metadata.blobs.put({ digest: one, size: 5_000_000_000 }, 1);
      await metadata.blobs.put({ digest: two, size: 700, mediaType }, 1);
      expect(await metadata.blobs.get(one)).toEqual({ digest: one, size: 5_000_000_000 });
      expect(await metadata.blobs.get(two)).toEqual({ digest: two, size: 700, mediaType });
      expect(await metadata.blobs.get(three)).toBeUndefined();
      expect(await metadata.blobs.total(4096)).toEqual({
        count: 2,
        bytes: 5_000_000_700,
        diskBytes: 5_000_007_680,
      });
      await metadata.blobs.put({ digest: two, size: 700 }, 2);
      expect(await metadata.blobs.get(two)).toEqual({ digest: two, size: 700, mediaType });
      await metadata.blobs.put({ digest: one, size: 6, mediaType }, 2);
      expect(await metadata.blobs.get(one)).toEqual({ digest: one, size: 6, mediaType });
      await metadata.blobs.remove([one], 1);
      expect(await metadata.blobs.get(one)).toBeDefined();
      await metadata.blobs.remove([one, three], 2);
      await metadata.blobs.remove([one]);
      await metadata.blobs.remove([]);
      expect(await metadata.blobs.get(one)).toBeUndefined();
      expect(await metadata.blobs.total(4096)).toEqual({ count: 1, bytes: 700, diskBytes: 4096 });
    });

    test("totals follow the size of a block, and every change after that", async () => {
      await metadata.blobs.put({ digest: one, size: 513 }, 1);
      await metadata.blobs.put({ digest: two, size: 4097 }, 1);
      const diskBytes = async (blockSize: number): Promise<number> =>
        (await metadata.blobs.total(blockSize)).diskBytes;
      expect(await diskBytes(4096)).toBe(3 * 4096);
      expect(await diskBytes(512)).toBe(11 * 512);
      await metadata.blobs.put({ digest: one, size: 1 }, 2);
      await metadata.blobs.put({ digest: three, size: 512 }, 2);
      await metadata.blobs.remove([two]);
      expect(await diskBytes(512)).toBe(2 * 512);
      expect(await diskBytes(1)).toBe(513);
    });

    test("access times of missing blobs are ignored", async () => {
      await metadata.blobs.put({ digest: one, size: 1 }, 5);
      const times = Array.from({ length: 600 }, (_, at): [Digest, number] => [
        digestNumber(at),
        at,
      ]);
      await metadata.blobs.touch(new Map(times));
      await metadata.blobs.touch(new Map());
      expect(await metadata.blobs.total(4096)).toEqual({ count: 1, bytes: 1, diskBytes: 4096 });
    });

    test("`clampTimes` sets times in the future to now", async () => {
      const old = digestNumber(1000);
      await metadata.blobs.put({ digest: old, size: 1 }, 10);
      for (let at = 0; at < 300; at += 1) {
        await metadata.blobs.put({ digest: digestNumber(at), size: 1 }, 900);
      }
      await metadata.blobs.touch(new Map([[old, 950]]));
      expect(await metadata.blobs.clampTimes(500)).toBe(601);
      const all = await metadata.blobs.leastRecentlyUsed(400);
      expect(new Set(all.map(({ usedAt }) => usedAt))).toEqual(new Set([500]));
      expect(all.find(({ digest }) => digest === old)?.storedAt).toBe(10);
      expect(all.filter(({ storedAt }) => storedAt === 500)).toHaveLength(300);
    });

    test("blobs are listed in LRU order and by age, and links by upstream", async () => {
      for (const [digest, at] of [
        [one, 30],
        [two, 10],
        [three, 10],
      ] as const) {
        await metadata.blobs.put({ digest, size: 7 }, at);
      }
      const inOrder = [two, three].toSorted().concat(one);
      const digests = async (page: Promise<{ digest: Digest }[]>): Promise<Digest[]> =>
        (await page).map(({ digest }) => digest);
      expect(await digests(metadata.blobs.leastRecentlyUsed(10))).toEqual(inOrder);
      const [first] = await metadata.blobs.leastRecentlyUsed(1);
      expect(first).toMatchObject({ digest: inOrder[0], size: 7, storedAt: 10, usedAt: 10 });
      expect(await digests(metadata.blobs.leastRecentlyUsed(10, first))).toEqual(inOrder.slice(1));
      await metadata.links.add(nginx, [{ digest: one }]);
      await metadata.links.add(repositoryRef("ghcr.io", "a"), [{ digest: two }, { digest: one }]);
      const { upstream } = nginx;
      expect(await digests(metadata.blobs.storedBefore(31, 10))).toEqual(inOrder);
      expect(await digests(metadata.blobs.storedBefore(31, 10, first))).toEqual(inOrder.slice(1));
      expect(await digests(metadata.blobs.storedBefore(30, 10))).toEqual(inOrder.slice(0, 2));
      expect(await digests(metadata.blobs.storedBefore(10, 10))).toEqual([]);
      expect([...(await metadata.links.visibleIn(upstream, [two, one]))]).toEqual([one]);
      expect(await metadata.links.visibleIn(repositoryRef("quay.io", "a").upstream, [one])).toEqual(
        new Set(),
      );
      expect(await metadata.links.visibleIn(upstream, [])).toEqual(new Set());
      const names: string[] = await metadata.links.upstreams(one);
      expect(names.sort()).toEqual(["docker.io", "ghcr.io"]);
      expect(await metadata.links.repositoriesOf(one, 1)).toEqual([nginx]);
      await metadata.links.removeAll(one, upstream);
      expect(await metadata.links.upstreams(one)).toEqual([repositoryRef("ghcr.io", "a").upstream]);
      await metadata.links.removeAll(one);
      expect(await metadata.links.upstreams(one)).toEqual([]);
    });

    test("blob records are listed in pages, and found by digest", async () => {
      const all = [one, two, three].toSorted();
      for (const digest of all) await metadata.blobs.put({ digest, size: 1 }, 1);
      const pages = [await metadata.blobs.page(2), await metadata.blobs.page(2, all[1])];
      expect(pages.flat().map(({ digest }) => digest)).toEqual(all);
      expect(await metadata.blobs.page(2, all[2])).toEqual([]);
      expect(await metadata.blobs.find([])).toEqual([]);
      const found = await metadata.blobs.find([two, digestNumber(99)]);
      expect(found.map(({ digest }) => digest)).toEqual([two]);
    });

    test("all tags are listed in pages", async () => {
      const repos = [
        nginx,
        repositoryRef("docker.io", "library/redis"),
        repositoryRef("ghcr.io", "a"),
      ];
      for (const repo of repos) {
        for (const name of ["1", "2"]) {
          await metadata.tags.put(repo, tag(name), { digest: one, checkedAt: 5 });
        }
      }
      const names: string[] = [];
      for (let last; ;) {
        const page = await metadata.tags.all(4, last);
        names.push(...page.map((row) => `${row.repo.repository}:${row.tag}`));
        last = page.at(-1);
        if (!last) break;
      }
      expect(names.join(" ")).toBe(
        "library/nginx:1 library/nginx:2 library/redis:1 library/redis:2 a:1 a:2",
      );
    });

    test("a pin is kept until it is removed, and replaced by one of the same pattern", async () => {
      const pin = { pattern: "docker.io/library/*:*", platforms: ["linux/amd64", "linux/arm64"] };
      await metadata.pins.put({ ...pin, since: 1 });
      await metadata.pins.put({ ...pin, since: 2 });
      await metadata.pins.put({ pattern: "a:*", platforms: [], since: 3 });
      expect(await metadata.pins.list()).toEqual([
        { pattern: "a:*", platforms: [], since: 3 },
        { ...pin, since: 2 },
      ]);
      expect(await metadata.pins.remove("a:*")).toBe(true);
      expect(await metadata.pins.remove("a:*")).toBe(false);
      expect(await metadata.pins.list()).toHaveLength(1);
    });

    test("a listing is replaced by the latest one of its repository and key", async () => {
      expect(await metadata.listings.get(nginx, "tags")).toBeUndefined();
      await metadata.listings.put(nginx, "tags", { body: "old", checkedAt: 1 });
      await metadata.listings.put(nginx, "tags", { body: '{"ä":"\u{1F6A2}"}', checkedAt: 2 });
      await metadata.listings.put(nginx, "referrers", { body: "", checkedAt: 3 });
      expect(await metadata.listings.get(nginx, "tags")).toEqual({
        body: '{"ä":"\u{1F6A2}"}',
        checkedAt: 2,
      });
      expect(await metadata.listings.get(nginx, "referrers")).toEqual({ body: "", checkedAt: 3 });
      expect(await metadata.listings.get(repositoryRef("quay.io", "a"), "tags")).toBeUndefined();
    });

    test("the revision grows before and after each change of tags and links", async () => {
      const changes: (() => Promise<void>)[] = [
        () => metadata.links.add(nginx, [{ digest: one }]),
        () => metadata.links.remove(nginx, one),
        () => metadata.links.removeAll(one),
        () => metadata.tags.put(nginx, tag("1"), { digest: one, checkedAt: 1 }),
        () => metadata.tags.remove(nginx, tag("1")),
      ];
      for (const change of changes) {
        const before = metadata.revision;
        const changing = change();
        const during = metadata.revision;
        await changing;
        expect([during > before, metadata.revision > during]).toEqual([true, true]);
      }
      const before = metadata.revision;
      await metadata.links.get(nginx, one);
      expect(metadata.revision).toBe(before);
    });

    test("concurrent writes all succeed", async () => {
      await Promise.all(
        Array.from({ length: 200 }, async (_, at) => {
          await metadata.links.add(nginx, [{ digest: digestNumber(at), size: at }]);
          await metadata.blobs.put({ digest: digestNumber(at), size: at }, at);
          await metadata.blobs.touch(new Map([[digestNumber(at), at + 1]]));
        }),
      );
      expect((await metadata.blobs.total(4096)).count).toBe(200);
    });
  });
}
