import { describe, expect, test } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryRef } from "../repository-ref.ts";
import type { TagStay } from "../tag-history.ts";
import type { MetadataStore } from "../metadata-store.ts";
import { digestNumber, repositoryRef, tag } from "./sample-names.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const latest = tag("latest");
const [A, B, C] = [digestNumber(1), digestNumber(2), digestNumber(3)];

/** The part of the suite of `MetadataStore` that is about what tags were seen to point to. */
export function tagHistoryConformance(metadata: () => MetadataStore): void {
  const seen = (
    digest: Digest,
    checkedAt: number,
    more: { seenAt?: number; source?: string } = {},
  ) => metadata().tags.put(nginx, latest, { digest, checkedAt, ...more });
  /** Stays as `A 1-4`, the latest first. */
  const stays = async (repo: RepositoryRef = nginx, name = latest): Promise<string> =>
    (await metadata().tagHistory.of(repo, name)).map(textOf).join(", ");

  describe("the history of a tag", () => {
    test("has a stay for each time that it moved", async () => {
      expect(await stays()).toBe("");
      await seen(A, 1);
      await seen(A, 4);
      expect(await stays()).toBe("A 1-4");
      await seen(B, 6, { seenAt: 5, source: "mirror.test" });
      await seen(A, 9);
      await seen(A, 8);
      expect(await stays()).toBe("A 9-9, B 5-6 by mirror.test, A 1-4");
      expect(await stays(repositoryRef("ghcr.io", "library/nginx"))).toBe("");
      expect(await stays(nginx, tag("LATEST"))).toBe("");
      expect(await metadata().tags.get(nginx, latest)).toEqual({ digest: A, checkedAt: 8 });
    });

    test("outlives the tag, which is in it again once it is pulled", async () => {
      await seen(A, 1);
      await seen(B, 2);
      await metadata().tags.remove(nginx, latest);
      expect(await stays()).toBe("B 2-2, A 1-1");
      await seen(B, 5);
      await metadata().tags.remove(nginx, latest);
      await seen(A, 7);
      expect(await stays()).toBe("A 7-7, B 2-5, A 1-1");
    });

    test("is in the order in which it was seen, also when the clock was set back", async () => {
      await seen(A, 1000);
      await seen(B, 500);
      await seen(C, 600);
      expect(await stays()).toBe("C 600-600, B 500-500, A 1000-1000");
      await metadata().tagHistory.clampTimes(700);
      expect(await stays()).toBe("C 600-600, B 500-500, A 700-700");
      await seen(C, 550);
      expect(await stays()).toBe("C 600-600, B 500-500, A 700-700");
    });

    test("has at most 20 stays, and of a tag that moves often those of all ages", async () => {
      const HOUR = 3_600_000;
      const DAY = 24 * HOUR;
      const { tagHistory } = metadata();
      await seen(A, 0);
      // Somebody pushes often, so that what was before is forgotten.
      const flood = (number: number): number => 9 * DAY + number * 60_000;
      for (let number = 0; number < 100; number += 1) {
        await seen(digestNumber(100 + (number % 50)), flood(number));
      }
      const flooded = await tagHistory.of(nginx, latest);
      expect(flooded).toHaveLength(20);
      expect(flooded[0]).toMatchObject({ digest: digestNumber(149), firstSeen: flood(99) });
      expect(flooded.at(-1)).toMatchObject({ digest: A, firstSeen: 0 });
      // The same from another replica, with what is left out here.
      await tagHistory.add(
        nginx,
        latest,
        Array.from({ length: 50 }, (_, number) => {
          const at = flood(number) + 1;
          return { digest: digestNumber(300 + number), firstSeen: at, lastSeen: at };
        }),
      );
      expect((await tagHistory.of(nginx, latest)).at(-1)).toMatchObject({ digest: A });
      // Each hour, for two months: whatever the age, one is known that is not much older.
      const often = tag("often");
      for (let hour = 0; hour < 60 * 24; hour += 1) {
        await metadata().tags.put(nginx, often, {
          digest: digestNumber(hour),
          checkedAt: hour * HOUR,
        });
      }
      const ages = (await tagHistory.of(nginx, often)).map(
        ({ firstSeen }) => 60 * 24 - 1 - firstSeen / HOUR,
      );
      expect(ages).toHaveLength(20);
      for (const age of [24, 72, 7 * 24, 30 * 24]) {
        const known = Math.min(...ages.filter((one) => one >= age));
        expect([age, known, known <= 2 * age]).toEqual([age, known, true]);
      }
    });

    test("has when a client first got a digest", async () => {
      const { tagHistory } = metadata();
      await seen(A, 1);
      await seen(B, 2);
      await seen(A, 3);
      await tagHistory.served(nginx, latest, A, 4);
      await tagHistory.served(nginx, latest, A, 5);
      await tagHistory.served(nginx, latest, C, 5);
      expect(await stays()).toBe("A 3-3 served 4, B 2-2, A 1-1");
    });

    test("takes in what other replicas saw, once", async () => {
      const { tagHistory } = metadata();
      const told = (...all: TagStay[]) => tagHistory.add(nginx, latest, all);
      await seen(A, 10, { source: "docker.io" });
      await told({ digest: A, firstSeen: 8, lastSeen: 10, firstServed: 9, source: "replica" });
      expect(await stays()).toBe("A 8-10 served 9 by replica");
      await told(
        { digest: B, firstSeen: 12, lastSeen: 13 },
        { digest: C, firstSeen: 1, lastSeen: 2 },
      );
      expect(await stays()).toBe("B 12-13, A 8-10 served 9 by replica, C 1-2");
      const before = metadata().revision;
      await told(
        { digest: B, firstSeen: 12, lastSeen: 13 },
        { digest: C, firstSeen: 2, lastSeen: 2 },
      );
      await told();
      expect(metadata().revision).toBe(before);
      await told({ digest: B, firstSeen: 13, lastSeen: 14 });
      expect(metadata().revision).toBeGreaterThan(before);
      await seen(B, 20);
      expect(await stays()).toBe("B 12-20, A 8-10 served 9 by replica, C 1-2");
    });

    test("shows two parts of a stay as one, and what came between them apart", async () => {
      const { tagHistory } = metadata();
      const part = (digest: Digest, firstSeen: number, lastSeen: number) =>
        tagHistory.add(nginx, latest, [{ digest, firstSeen, lastSeen }]);
      await part(A, 5, 6);
      await part(A, 1, 2);
      expect(await stays()).toBe("A 1-6");
      await part(B, 3, 4);
      expect(await stays()).toBe("A 5-6, B 3-4, A 1-2");
      await part(A, 0, 8);
      expect(await stays()).toBe("A 5-8, B 3-4, A 0-2");
    });

    test("that another replica has seen further is confirmed by what the tag has here", async () => {
      await seen(A, 10);
      await metadata().tagHistory.add(nginx, latest, [{ digest: B, firstSeen: 12, lastSeen: 13 }]);
      await seen(A, 9);
      expect(await stays()).toBe("B 12-13, A 10-10");
      await seen(B, 15, { seenAt: 15 });
      expect(await stays()).toBe("B 12-15, A 10-10");
    });

    test("is found by repository and by digest", async () => {
      const { tags, tagHistory } = metadata();
      const other = repositoryRef("docker.io", "library/redis");
      for (const [repo, name, digest, checkedAt] of [
        [nginx, "2", A, 1],
        [nginx, "2", B, 5],
        [nginx, "1", A, 2],
        [nginx, "10", C, 3],
        [other, "3", A, 4],
      ] as const) {
        await tags.put(repo, tag(name), { digest, checkedAt });
      }
      const named = async (...parameters: Parameters<typeof tagHistory.tags>): Promise<string> =>
        (await tagHistory.tags(...parameters)).join(" ");
      expect(await named(nginx, 9)).toBe("1 10 2");
      expect(await named(nginx, 2)).toBe("1 10");
      expect(await named(nginx, 9, A)).toBe("1 2");
      expect(await tagHistory.digests(nginx, 9)).toEqual([B, C, A]);
      expect(await tagHistory.digests(nginx, 1)).toEqual([B]);
    });

    test("lists the tags that have moved, in pages", async () => {
      const { tags, tagHistory } = metadata();
      const other = repositoryRef("docker.io", "library/redis");
      for (const [repo, name, digest, checkedAt] of [
        [other, "1", A, 1],
        [nginx, "same", A, 1],
        [nginx, "same", A, 2],
        [nginx, "b", A, 1],
        [nginx, "a", A, 1],
        [nginx, "a", B, 2],
        [other, "1", B, 2],
        [nginx, "b", B, 2],
        [nginx, "b", A, 3],
      ] as const) {
        await tags.put(repo, tag(name), { digest, checkedAt });
      }
      const moved: string[] = [];
      for (let last; ;) {
        const page = await tagHistory.moved(2, last);
        for (const { repo, tag: name, stays: all } of page) {
          moved.push(`${repo.repository}:${name} ${all.map(textOf).join(", ")}`);
        }
        last = page.at(-1);
        if (!last) break;
      }
      expect(moved).toEqual([
        "library/nginx:a B 2-2, A 1-1",
        "library/nginx:b A 3-3, B 2-2, A 1-1",
        "library/redis:1 B 2-2, A 1-1",
      ]);
    });

    test("is told of many tags at once as of each", async () => {
      const { tags, tagHistory } = metadata();
      const names = ["a", "b", "often", "unknown"].map(tag);
      await tags.put(nginx, tag("a"), { digest: A, checkedAt: 5 });
      await tags.put(nginx, tag("a"), { digest: B, checkedAt: 3 });
      await tags.put(nginx, tag("b"), { digest: A, checkedAt: 7 });
      await tags.put(nginx, tag("c"), { digest: A, checkedAt: 1 });
      await tags.put(repositoryRef("docker.io", "library/redis"), tag("b"), {
        digest: C,
        checkedAt: 1,
      });
      for (let at = 0; at < 60; at += 1) {
        // The clock is set back in between: the earliest moment is that of a stay which is left out.
        const checkedAt = at === 30 ? 1 : 1000 + at;
        await tags.put(nginx, tag("often"), { digest: digestNumber(at), checkedAt });
      }
      const each = await tagHistory.ofEach(nginx, names);
      const first = await tagHistory.firstSeen(nginx, names);
      for (const name of names) {
        const alone = await tagHistory.of(nginx, name);
        expect([name, each.get(name) ?? []]).toEqual([name, alone]);
        const earliest = Math.min(...alone.map(({ firstSeen }) => firstSeen));
        expect([name, first.get(name) ?? Infinity]).toEqual([name, earliest]);
      }
      expect([...first.keys()].toSorted()).toEqual(["a", "b", "often"].map(tag));
    });

    test("knows digests that were asked for by name", async () => {
      const { tagHistory } = metadata();
      await seen(A, 10);
      expect(await tagHistory.digestSeen(nginx, A, 20)).toBe(10);
      expect(await tagHistory.digestSeen(nginx, B, 20)).toBe(20);
      expect(await tagHistory.digestSeen(nginx, B, 30)).toBe(20);
      expect(await tagHistory.digests(nginx, 9)).toEqual([B, A]);
      await tagHistory.add(nginx, latest, [{ digest: B, firstSeen: 5, lastSeen: 6 }]);
      expect(await tagHistory.digestSeen(nginx, B, 40)).toBe(5);
      const other = repositoryRef("docker.io", "library/redis");
      expect(await tagHistory.digestSeen(other, A, 50)).toBe(50);
      await tagHistory.clampTimes(45);
      expect(await tagHistory.digestSeen(other, A, 60)).toBe(45);
    });

    test("is kept when there is not too much of it", async () => {
      await seen(A, 1);
      await metadata().tagHistory.digestSeen(nginx, B, 2);
      await metadata().tagHistory.prune();
      expect(await metadata().tagHistory.digests(nginx, 9)).toEqual([B, A]);
    });
  });
}

function textOf({ digest, firstSeen, lastSeen, firstServed, source }: TagStay): string {
  const name = ["A", "B", "C"][[A, B, C].indexOf(digest)] ?? digest;
  const served = firstServed === undefined ? "" : ` served ${firstServed}`;
  return `${name} ${firstSeen}-${lastSeen}${served}${source === undefined ? "" : ` by ${source}`}`;
}
