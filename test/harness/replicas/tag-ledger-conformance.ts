import { describe, expect } from "bun:test";
import type { Digest } from "../../../src/oci/digest.ts";
import { digestNumber, repositoryRef, tag } from "../../../src/store/storetest/sample-names.ts";
import { until } from "../waiting.ts";
import { type Fact, newOrderId, type OverrideOrder } from "../../../src/cluster/ledger/facts.ts";
import type { Ledger } from "../../../src/cluster/ledger/ledger.ts";
import type { OverrideAges } from "../../../src/cluster/ledger/override-ages.ts";
import { RecordedNews } from "./recorded-news.ts";
import { type EmptyLedger, type It, replicaTests } from "./two-replicas.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const redis = repositoryRef("docker.io", "library/redis");
const latest = tag("latest");
const MINUTE = 60_000;

const [one, two, three] = [digestNumber(1), digestNumber(2), digestNumber(3)];
const name = (digest: Digest): string => digest.slice(7, 11);

const pointsTo = (digest: Digest, ageMs: number): Fact => ({
  kind: "tag",
  repo: nginx,
  tag: latest,
  digest,
  ageMs,
});
const removed = (ageMs: number): Fact => ({ kind: "tag-removed", repo: nginx, tag: latest, ageMs });
/** Seen so long ago first, and last. */
const seen = (...stays: readonly [Digest, number, number][]): Fact => ({
  kind: "seen",
  repo: nginx,
  tag: latest,
  stays: stays.map(([digest, firstSeenAgeMs, lastSeenAgeMs]) => {
    return { digest, firstSeenAgeMs, lastSeenAgeMs, source: `of ${firstSeenAgeMs}` };
  }),
});
/** An order of an operator about tags. */
function decided(
  override: Partial<OverrideAges> & Pick<OverrideAges, "kind" | "pattern">,
): OverrideOrder {
  const by = { reason: "because", by: "ops" };
  const whole = { id: crypto.randomUUID(), sinceAgeMs: 0, ...by, ...override };
  return { kind: "override", id: newOrderId(), override: whole, ageMs: 0 };
}

/** What every ledger knows of what tags pointed to, and what operators decided of that. */
export function tagLedgerConformance(
  title: string,
  makeEmpty: () => Promise<EmptyLedger>,
  it: It,
): void {
  const replicaTest = replicaTests(makeEmpty, it);

  describe(`a ledger of tags: ${title}`, () => {
    /** The history of the tag, once it has as many stays: ages in whole minutes. */
    const historyOf = async (ledger: Ledger, length: number, repo = nginx): Promise<string[]> => {
      const history = await until(
        async () => {
          const stays = await ledger.history(repo, latest);
          return stays?.length === length ? stays : undefined;
        },
        { what: `${length} stays` },
      );
      return history.map(({ digest, firstSeenAgeMs, lastSeenAgeMs, source = "" }) => {
        const minutes = [firstSeenAgeMs, lastSeenAgeMs].map((ms) => Math.floor(ms / MINUTE));
        return `${name(digest)} ${minutes.join(" ")} ${source}`.trimEnd();
      });
    };

    replicaTest(
      "keeps what a tag pointed to, whoever saw it and in whatever order it is told",
      async ({ a, b, ledger }) => {
        await historyOf(b, 0);
        a.tell(seen([two, 30 * MINUTE, 20 * MINUTE]));
        b.tell(seen([one, 90 * MINUTE, 80 * MINUTE]));
        const both = [`${name(two)} 30 20 of 1800000`, `${name(one)} 90 80 of 5400000`];
        expect(await historyOf(a, 2)).toEqual(both);
        // It moved back, and that one of them was seen earlier is told later.
        a.tell(seen([one, 10 * MINUTE, 10 * MINUTE], [two, 60 * MINUTE, 40 * MINUTE]));
        const late = await ledger.open("http://c");
        const stays = await historyOf(late, 3);
        expect(stays).toEqual([
          `${name(one)} 10 10 of 600000`,
          `${name(two)} 60 20 of 3600000`,
          `${name(one)} 90 80 of 5400000`,
        ]);
        await historyOf(late, 0, redis);
        await late.close();
      },
    );

    replicaTest("knows of a tag that it had what it has, and until when", async ({ a, b }) => {
      a.tell(seen([one, 90 * MINUTE, 90 * MINUTE]));
      a.tell(pointsTo(one, 30 * MINUTE));
      const known = await historyOf(b, 1);
      expect(known).toEqual([`${name(one)} 90 30 of 5400000`]);
      // As a replica does that sees it move.
      b.tell(seen([two, 5 * MINUTE, 5 * MINUTE]));
      b.tell(pointsTo(two, 5 * MINUTE));
      const moved = [`${name(two)} 5 5 of 300000`, `${name(one)} 90 30 of 5400000`];
      expect(await historyOf(a, 2)).toEqual(moved);
      // One of an earlier version that sees it move says only where it points.
      a.tell(pointsTo(three, MINUTE));
      expect((await historyOf(b, 3))[0]).toBe(`${name(three)} 1 1`);
      a.tell(removed(0));
      await until(async () => !(await b.tag(nginx, latest)), { what: "the tag to be gone" });
      expect((await historyOf(b, 2))[1]).toBe(`${name(one)} 90 30 of 5400000`);
    });

    replicaTest("keeps stays of all ages of a tag that moves again and again", async ({ a, b }) => {
      for (let at = 40; at > 0; at -= 1) a.tell(seen([digestNumber(at), at * MINUTE, at * MINUTE]));
      const shown = (stays: readonly string[]): (string | undefined)[] =>
        stays.map((stay) => stay.split(" ")[1]);
      await until(async () => shown(await historyOf(b, 20))[0] === "1", { what: "the latest" });
      const stays = await historyOf(b, 20);
      expect([stays.length, shown(stays)[0], shown(stays).at(-1)]).toEqual([20, "1", "40"]);
    });

    replicaTest("knows of which images a digest is a part, and their tags", async ({ a, b }) => {
      const [index, image, layer, other] = [one, two, three, digestNumber(4)];
      const madeOf = (of: Digest, ageMs: number, ...parts: Digest[]) =>
        ({ kind: "parts", repo: nginx, image: of, parts, ageMs }) as const;
      a.tell(seen([index, 90 * MINUTE, 80 * MINUTE]));
      a.tell(madeOf(index, 90 * MINUTE, image, other));
      b.tell(madeOf(image, 70 * MINUTE, layer));
      b.tell({ ...madeOf(other, 0, layer), repo: redis });
      // Told again, by one that knows it for a shorter time.
      b.tell(madeOf(index, 5 * MINUTE, image, other));
      /** Waits until these are the images of a digest. */
      const knows = (ledger: Ledger, digest: Digest, ...expected: object[]): Promise<unknown> => {
        const images = async (): Promise<boolean> => {
          const known = (await ledger.images(nginx, digest)).map(
            ({ digest: of, seenAgeMs = 0, tags }) => ({
              image: name(of),
              minutes: Math.floor(seenAgeMs / MINUTE),
              tags: tags.map(({ tag: named, stays }) => `${named}: ${stays.length}`),
            }),
          );
          return Bun.deepEquals(known, expected);
        };
        return until(images, { what: `the images of ${name(digest)}` });
      };
      const ofIndex = { image: name(index), minutes: 90, tags: ["latest: 1"] };
      await knows(b, layer, ofIndex, { image: name(image), minutes: 70, tags: [] });
      await knows(a, image, ofIndex, { image: name(image), minutes: 70, tags: [] });
      await knows(a, index, ofIndex);
      await knows(a, other, ofIndex);
      await knows(a, digestNumber(5));
    });

    replicaTest(
      "says what operators decided of tags, to whom comes later as well, with its times",
      async ({ a, news, ledger }) => {
        const freeze = decided({
          kind: "freeze",
          pattern: "docker.io/**:*",
          asOfAgeMs: 60 * MINUTE,
          sinceAgeMs: 2 * MINUTE,
          untilAgeMs: -60 * MINUTE,
        });
        const rollback = decided({
          kind: "rollback",
          pattern: "docker.io/library/nginx:latest",
          digest: one,
          isUnverified: true,
        });
        await a.order(freeze);
        await a.order(freeze);
        await a.order(rollback);
        const words = ["freeze docker.io/**:*", "rollback docker.io/library/nginx:latest"];
        await news.hasHeard(...words);
        const late = await ledger.open("http://c");
        const lateNews = new RecordedNews();
        late.hear(lateNews);
        await lateNews.hasCaughtUp();
        for (const heard of [news, lateNews]) {
          expect(heard.words).toEqual(words);
          const [first, second] = heard.all;
          if (first?.kind !== "override" || second?.kind !== "override")
            throw new Error("no orders");
          const { asOfAgeMs = 0, sinceAgeMs, untilAgeMs = 0, ...rest } = first.override;
          const { asOfAgeMs: _, sinceAgeMs: __, untilAgeMs: ___, ...given } = freeze.override;
          expect(rest).toEqual(given);
          expect([asOfAgeMs, sinceAgeMs, untilAgeMs].map((ms) => Math.floor(ms / MINUTE))).toEqual([
            60, 2, -60,
          ]);
          expect(second.override).toMatchObject({ digest: one, isUnverified: true });
        }
        await late.close();
      },
    );

    replicaTest(
      "lets the end of an override hold, whichever comes first, and else the later order",
      async ({ a, b, news, ledger }) => {
        const hold = decided({ kind: "hold", pattern: "a.test/b:c" });
        const changed = decided({ ...hold.override, untilAgeMs: -MINUTE, pattern: "a.test/b:d" });
        const ended = decided({
          ...hold.override,
          ended: { ageMs: MINUTE, by: "ops", reason: "over" },
        });
        await a.order({ ...hold, ageMs: 2 * MINUTE });
        await a.order({ ...changed, ageMs: MINUTE });
        // Told late.
        await a.order({ ...decided(hold.override), ageMs: 3 * MINUTE });
        await a.order({ ...decided(hold.override), isAgain: true, ageMs: 0 });
        await a.order({ ...ended, ageMs: 3 * MINUTE });
        await a.order({ ...decided(changed.override), ageMs: 0 });
        await b.order({ ...decided(changed.override), isAgain: true, ageMs: 0 });
        const other = decided({ kind: "hold", pattern: "a.test/other:c" });
        await a.order({ ...other, isAgain: true });
        const words = ["hold a.test/b:c", "hold a.test/b:d", "ops ended hold a.test/b:c"];
        await news.hasHeard(...words, "hold a.test/other:c");
        expect(news.words).toHaveLength(4);
        const late = await ledger.open("http://c");
        const lateNews = new RecordedNews();
        late.hear(lateNews);
        await lateNews.hasCaughtUp();
        expect(lateNews.words).toEqual(["ops ended hold a.test/b:c", "hold a.test/other:c"]);
        await late.close();
      },
    );
  });
}
