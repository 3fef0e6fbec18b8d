import { describe, expect } from "bun:test";
import type { Digest } from "../../../src/oci/digest.ts";
import { digestNumber, repositoryRef, tag } from "../../../src/store/storetest/sample-names.ts";
import { until } from "../waiting.ts";
import { type Fact, newOrderId, type RestFact } from "../../../src/cluster/ledger/facts.ts";
import { RecordedNews } from "./recorded-news.ts";
import { type EmptyLedger, type It, replicaTests } from "./two-replicas.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const redis = repositoryRef("docker.io", "library/redis");
const latest = tag("latest");
const MINUTE = 60_000;

const [one, two, three] = [digestNumber(1), digestNumber(2), digestNumber(3)];
/** As `RecordedNews` names it. */
const name = (digest: Digest): string => digest.slice(7, 11);

const pointsTo = (digest: Digest, ageMs: number): Fact => ({
  kind: "tag",
  repo: nginx,
  tag: latest,
  digest,
  ageMs,
});
const removed = (ageMs: number): Fact => ({ kind: "tag-removed", repo: nginx, tag: latest, ageMs });

const account = { upstream: nginx.upstream, host: "https://hub", account: "anonymous" };
const rest = (leftMs: number, requests: RestFact["requests"] = "metadata"): Fact => ({
  kind: "rest",
  ...account,
  requests,
  leftMs,
});
const budget = (remaining: number): Fact => ({
  kind: "budget",
  ...account,
  remaining,
  limit: 100,
  window: 3600,
  leftMs: MINUTE,
});

/**
 * What every ledger does.
 *
 * @param it `test`, or what replaces it where the ledger cannot be had
 */
export function ledgerConformance(
  title: string,
  makeEmpty: () => Promise<EmptyLedger>,
  it: It,
): void {
  const replicaTest = replicaTests(makeEmpty, it);
  describe(`a ledger: ${title}`, () => {
    replicaTest(
      "knows where a tag points, and how long ago that was checked",
      async ({ a, b, news }) => {
        expect(await b.tag(nginx, latest)).toBeUndefined();
        a.tell(pointsTo(one, MINUTE));
        await news.hasHeard(`library/nginx:latest=${name(one)}`);
        const known = await b.tag(nginx, latest);
        expect(known?.digest).toBe(one);
        expect(known?.ageMs).toBeGreaterThanOrEqual(MINUTE);
        expect(known?.ageMs).toBeLessThan(2 * MINUTE);
        expect(news.all[0]).toMatchObject({ kind: "tag", repo: nginx, tag: latest, digest: one });
        expect(await b.tag(redis, latest)).toBeUndefined();
      },
    );

    replicaTest(
      "says when a tag has moved, and not that it was checked again",
      async ({ a, b, news }) => {
        a.tell(pointsTo(one, MINUTE));
        await news.hasHeard(`library/nginx:latest=${name(one)}`);
        a.tell(pointsTo(one, 1000));
        await until(async () => ((await b.tag(nginx, latest))?.ageMs ?? MINUTE) < MINUTE, {
          what: "the later check to be known",
        });
        a.tell(pointsTo(two, 0));
        await news.hasHeard(
          `library/nginx:latest=${name(one)}`,
          `library/nginx:latest=${name(two)}`,
        );
      },
    );

    replicaTest(
      "believes the later look at an upstream, whoever is first to tell",
      async ({ a, b, news }) => {
        a.tell(pointsTo(two, 1000));
        await news.hasHeard(`library/nginx:latest=${name(two)}`);
        b.tell(pointsTo(one, MINUTE));
        b.tell({ kind: "tag", repo: redis, tag: latest, digest: digestNumber(4), ageMs: 0 });
        await until(() => a.tag(redis, latest), { what: "what was told last" });
        expect((await a.tag(nginx, latest))?.digest).toBe(two);
      },
    );

    replicaTest("forgets a removed tag, unless it was seen later", async ({ a, b, news }) => {
      a.tell(pointsTo(one, MINUTE));
      await news.hasHeard(`library/nginx:latest=${name(one)}`);
      a.tell(removed(1000));
      await news.hasHeard("no library/nginx:latest");
      expect(await b.tag(nginx, latest)).toBeUndefined();
      b.tell(pointsTo(one, 2000));
      a.tell({ kind: "tag", repo: redis, tag: latest, digest: digestNumber(4), ageMs: 0 });
      await until(() => b.tag(redis, latest), { what: "what was told last" });
      expect(await b.tag(nginx, latest)).toBeUndefined();
      a.tell(pointsTo(three, 0));
      await news.hasHeard(`library/nginx:latest=${name(three)}`);
    });

    replicaTest("knows in which repository a manifest was given", async ({ a, b }) => {
      const manifest = { size: 1234, mediaType: "application/vnd.oci.image.index.v1+json" };
      a.tell({ kind: "manifest", repo: nginx, digest: digestNumber(1), ...manifest, ageMs: 5000 });
      const known = await until(() => b.manifest(nginx, digestNumber(1)), { what: "the manifest" });
      expect(known).toMatchObject(manifest);
      expect(known.ageMs).toBeGreaterThanOrEqual(5000);
      expect(await b.manifest(redis, digestNumber(1))).toBeUndefined();
      expect(await b.manifest(nginx, digestNumber(2))).toBeUndefined();
    });

    replicaTest("says what operators want, once", async ({ a, b, news }) => {
      const id = newOrderId();
      const pin = { kind: "pin", pattern: "docker.io/**", platforms: ["linux/amd64"] } as const;
      await a.order({ ...pin, id, ageMs: 1000 });
      await a.order({ ...pin, id, ageMs: 1500 });
      await a.order({ kind: "purge", id: newOrderId(), pattern: "ghcr.io/**", ageMs: 0 });
      await news.hasHeard("pin docker.io/** linux/amd64", "purge ghcr.io/**");
      expect(news.all[0]).toMatchObject({ ...pin, id });
      b.tell({ kind: "applied", order: id, outcome: "done", images: 3 });
    });

    replicaTest(
      "lets the last of a pin and an unpin hold, whichever comes first",
      async ({ a, news, ledger }) => {
        const order = { pattern: "docker.io/**", platforms: [] };
        await a.order({ kind: "unpin", id: newOrderId(), ...order, ageMs: 1000 });
        await a.order({ kind: "pin", id: newOrderId(), ...order, ageMs: 2000 });
        await a.order({ kind: "pin", id: newOrderId(), ...order, pattern: "ghcr.io/**", ageMs: 0 });
        await news.hasHeard("unpin docker.io/**", "pin ghcr.io/**");
        expect(news.words).toEqual(["unpin docker.io/**", "pin ghcr.io/**"]);
        const late = await ledger.open("http://c");
        const lateNews = new RecordedNews();
        late.hear(lateNews);
        await lateNews.hasCaughtUp();
        expect(lateNews.words.filter((words) => words.startsWith("pin"))).toEqual([
          "pin ghcr.io/**",
        ]);
        await late.close();
      },
    );

    replicaTest(
      "asks the others what a purge would remove, and keeps no question",
      async ({ a, news }) => {
        const preview = {
          kind: "preview",
          id: newOrderId(),
          pattern: "ghcr.io/**:it's \\ $(1)",
        } as const;
        await a.preview(preview);
        await news.hasHeard(`preview ${preview.pattern}`);
        expect(news.all).toEqual([preview]);
      },
    );

    replicaTest("says which replica has carried out an order", async ({ a, b, news }) => {
      const order = newOrderId();
      a.tell({ kind: "applied", order, outcome: "refused", images: 3 });
      await news.hasHeard("http://a did it for 3");
      expect(news.all).toEqual([
        { kind: "applied", order, outcome: "refused", images: 3, by: "http://a" },
      ]);
      expect(b.state).toMatchObject({ state: "up" });
    });

    replicaTest(
      "says the longest rest and the lowest budget, also to whom comes later",
      async ({ a, news, ledger }) => {
        a.tell(rest(MINUTE));
        await news.hasHeard("rest of metadata at https://hub");
        a.tell(rest(MINUTE / 2));
        a.tell(budget(40));
        await news.hasHeard("rest of metadata at https://hub", "40 left at https://hub");
        a.tell(budget(50));
        a.tell(rest(MINUTE, "blob"));
        await news.hasHeard("40 left at https://hub", "rest of blob at https://hub");
        expect(news.all[1]).toMatchObject({ kind: "budget", ...account, limit: 100, window: 3600 });
        const late = await ledger.open("http://c");
        const lateNews = new RecordedNews();
        late.hear(lateNews);
        await lateNews.hasCaughtUp();
        expect(lateNews.words.toSorted()).toEqual([
          "40 left at https://hub",
          "rest of blob at https://hub",
          "rest of metadata at https://hub",
        ]);
        for (const held of lateNews.all) {
          if (!("leftMs" in held)) throw new Error("all of them are limits");
          expect(held.leftMs).toBeLessThanOrEqual(MINUTE);
          expect(held.leftMs).toBeGreaterThan(0);
        }
        await late.close();
      },
    );
  });
}
