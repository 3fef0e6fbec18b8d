import { afterAll, beforeAll, expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import { GlobPattern } from "../../config/parsing/glob-pattern.ts";
import { newOrderId } from "../ledger/facts.ts";
import { faultOf, tag as tagName } from "../../upstream/upstreamtest/test-servers.ts";
import {
  type Replicas,
  replicas,
  smallImage,
} from "../../../test/harness/replicas/linked-replicas.ts";

const TTL = 30_000;

function glob(text: string): GlobPattern {
  const pattern = GlobPattern.compile(text);
  if (typeof pattern === "string") throw new Error(pattern);
  return pattern;
}

let at: Replicas;
beforeAll(async () => {
  at = await replicas({ settings: { immutableTags: [glob("v*")] } });
});
afterAll(() => at[Symbol.asyncDispose]());

/** Of one test alone: what is stored already would not be fetched. */
function images(name: string) {
  return { before: smallImage(`${name} before`), after: smallImage(`${name} after`) };
}

test("a tag that another replica checked is taken at its word, and its manifest fetched by digest", async () => {
  const { one, two } = at;
  const { before } = images("1");
  at.push("1", before);
  await one.pull("1");
  expect(at.requests()).toEqual(["GET 1"]);
  expect(await two.pull("1")).toEqual({ digest: before.digest, result: "miss" });
  expect(at.requests()).toEqual(["GET digest"]);
  expect(await two.pull("1")).toEqual({ digest: before.digest, result: "hit" });
  expect(at.requests()).toEqual([]);
});

test("a HEAD is answered in the same way", async () => {
  const { one, two } = at;
  const { before } = images("2");
  at.push("2", before);
  await one.pull("2");
  at.requests();
  expect(await two.head("2")).toBe(before.digest);
  expect(at.requests()).toEqual(["GET digest"]);
});

test("an expired tag that another replica has checked since is fresh, for as long as that check is", async () => {
  const { one, two } = at;
  const { before } = images("3");
  at.push("3", before);
  await one.pull("3");
  await two.pull("3");
  at.clock.now += TTL + 1;
  expect(await one.pull("3")).toEqual({ digest: before.digest, result: "revalidated" });
  at.requests();
  at.clock.now += TTL - 1;
  expect(await two.pull("3")).toEqual({ digest: before.digest, result: "hit" });
  expect(at.requests()).toEqual([]);
  at.clock.now += 1;
  expect(await two.pull("3")).toEqual({ digest: before.digest, result: "revalidated" });
  expect(at.requests()).toEqual(["HEAD 3"]);
});

test("a tag that moved is known to the others although their records are fresh", async () => {
  const { one, two, three } = at;
  const { before, after } = images("4");
  at.push("4", before);
  for (const replica of at.all) await replica.pull("4");
  at.clock.now += TTL / 2;
  // This replica knows that it has to look again; the others would serve what they have.
  await one.cache.tagMoved(one.upstream, one.repo, tagName("4"), { digest: undefined, ageMs: 0 });
  at.push("4", after);
  at.requests();
  expect(await one.pull("4")).toEqual({ digest: after.digest, result: "miss" });
  await at.settled();
  expect(await two.pull("4")).toEqual({ digest: after.digest, result: "miss" });
  expect(await three.pull("4")).toEqual({ digest: after.digest, result: "miss" });
  expect(at.requests()).toEqual(["HEAD 4", "GET 4", "GET digest", "GET digest"]);
});

test("a tag that moved is served as it was where nothing else can be had", async () => {
  const { one, two } = at;
  const { before, after } = images("5");
  at.push("5", before);
  await one.pull("5");
  await two.pull("5");
  at.answer = () => new Response("", { status: 500 });
  one.ledger.tell({
    kind: "tag",
    repo: one.repo,
    tag: tagName("5"),
    digest: after.digest,
    ageMs: -1,
  });
  await at.settled();
  expect(await two.pull("5")).toEqual({ digest: before.digest, result: "stale" });
  at.answer = undefined;
});

test("a tag that was removed is asked for, and is then gone from all", async () => {
  const { one, two } = at;
  const { before } = images("6");
  at.push("6", before);
  await one.pull("6");
  await two.pull("6");
  at.clock.now += TTL + 1;
  at.push("6", undefined);
  expect(await faultOf(one.pull("6"))).toMatchObject({ kind: "not-found" });
  await at.settled();
  at.requests();
  expect(await faultOf(two.pull("6"))).toMatchObject({ kind: "not-found" });
  expect(at.requests()).toEqual(["HEAD 6", "GET 6"]);
});

test("what a replica has checked later than the ledger knows is not taken back", async () => {
  const { one, two } = at;
  const { before, after } = images("7");
  at.push("7", before);
  await one.pull("7");
  two.ledger.away();
  at.clock.now += 60_000;
  at.push("7", after);
  expect(await two.pull("7")).toEqual({ digest: after.digest, result: "miss" });
  // The ledger hears of it late, and must not believe that the other one is younger.
  at.clock.now += TTL - 1;
  one.ledger.tell({
    kind: "tag",
    repo: one.repo,
    tag: tagName("7"),
    digest: before.digest,
    ageMs: 60_000 + TTL - 1,
  });
  two.ledger.back();
  await at.settled();
  at.requests();
  expect(await two.pull("7")).toEqual({ digest: after.digest, result: "hit" });
  expect(await one.pull("7")).toEqual({ digest: after.digest, result: "miss" });
  expect(at.requests()).toEqual(["GET digest"]);
});

test("with the ledger away, each replica asks for itself; back again, all know what was found", async () => {
  const { one, two } = at;
  const { before, after } = images("8");
  at.push("8", before);
  one.ledger.away();
  await one.pull("8");
  await two.pull("8");
  expect(at.requests()).toEqual(["GET 8", "GET 8"]);
  at.clock.now += TTL + 1;
  at.push("8", after);
  await two.pull("8");
  at.requests();
  one.ledger.back();
  await at.settled();
  expect(await one.pull("8")).toEqual({ digest: after.digest, result: "miss" });
  expect(at.requests()).toEqual(["GET digest"]);
});

test("what the ledger knows from before a purge is not used", async () => {
  const { one, two } = at;
  const { before, after } = images("9");
  at.push("9", before);
  await one.pull("9");
  at.push("9", after);
  at.requests();
  await one.ledger.order({
    kind: "purge",
    id: newOrderId(),
    pattern: "reg.test/app:9",
    ageMs: 0,
  });
  await at.settled();
  expect(await two.pull("9")).toEqual({ digest: after.digest, result: "miss" });
  expect(at.requests()).toEqual(["GET 9"]);
});

test("news of immutable tags change nothing", async () => {
  const { one, two } = at;
  const { before, after } = images("10");
  at.push("v1", before);
  await one.pull("v1");
  await two.pull("v1");
  at.clock.now += 1;
  one.ledger.tell({
    kind: "tag",
    repo: one.repo,
    tag: tagName("v1"),
    digest: after.digest,
    ageMs: 0,
  });
  await at.settled();
  at.requests();
  expect(await two.pull("v1")).toEqual({ digest: before.digest, result: "hit" });
  expect(at.requests()).toEqual([]);
});

test("what was lost on its way to the ledger is told again", async () => {
  const { one, two } = at;
  const { before } = images("11");
  at.push("11", before);
  one.ledger.away();
  await one.pull("11");
  await one.cache.settled();
  one.ledger.forget();
  one.ledger.back();
  await at.settled();
  const known = (): Promise<string | undefined> =>
    two.ledger.tag(two.repo, tagName("11")).then((fact) => fact?.digest);
  expect(await until(known, { what: "the tag in the ledger" })).toBe(before.digest);
});

test("of a tag that exists nowhere, the ledger is asked once a second at most", async () => {
  const { one } = at;
  let questions = 0;
  const ask = one.ledger.tag.bind(one.ledger);
  one.ledger.tag = (...of) => {
    questions += 1;
    return ask(...of);
  };
  for (let turn = 0; turn < 5; turn += 1) await faultOf(one.pull("none"));
  await faultOf(one.head("none"));
  expect(questions).toBe(1);
  at.clock.now += 1001;
  await faultOf(one.pull("none"));
  expect(questions).toBe(2);
  one.ledger.tag = ask;
});

test("what a tag pointed to and since when is known to all, also to one that begins with an empty disk, and after a purge", async () => {
  const { one, two, three } = at;
  const { before, after } = images("history");
  const start = at.clock.now;
  const push = async (image: typeof before, replica: typeof one): Promise<void> => {
    at.push("history", image);
    at.clock.now += TTL + 1;
    await replica.pull("history");
    await at.settled();
  };
  await push(before, one);
  await push(before, two);
  await push(after, two);
  // It moves back, as the first one sees, which had told of this digest before.
  await push(before, one);
  await push(before, two);
  const known = async (): Promise<unknown> => {
    const stays = await three.facts.tagNews.history(three.repo, tagName("history"));
    return stays?.map(({ digest, firstSeenAgeMs, lastSeenAgeMs }) => ({
      digest,
      seen: [firstSeenAgeMs, lastSeenAgeMs].map((ms) => (at.clock.now - ms - start) / (TTL + 1)),
    }));
  };
  const history = [
    { digest: before.digest, seen: [4, 5] },
    { digest: after.digest, seen: [3, 3] },
    { digest: before.digest, seen: [1, 2] },
  ];
  expect(await known()).toEqual(history);
  const purge = await one.admin.purge("reg.test/app:history");
  await purge.run(false);
  await one.facts.order({ kind: "purge", pattern: "reg.test/app:history", platforms: [] });
  await at.settled();
  expect(await known()).toEqual(history);
  three.ledger.away();
  expect(await known()).toBeUndefined();
  three.ledger.back();
  await at.settled();
});

test("a ledger that was made anew learns what tags pointed to from who comes up, and keeps when that was", async () => {
  const { one, two } = at;
  const { before, after } = images("anew");
  for (const image of [before, after]) {
    at.push("anew", image);
    at.clock.now += TTL + 1;
    await one.pull("anew");
    await one.cache.settled();
  }
  await at.settled();
  const known = async (replica: typeof one): Promise<unknown> =>
    (await replica.facts.tagNews.history(replica.repo, tagName("anew")))?.map(
      ({ digest, firstSeenAgeMs }) => [digest, at.clock.now - firstSeenAgeMs],
    );
  const history = await known(two);
  expect(history).toHaveLength(2);
  at.shared.histories.clear();
  at.shared.tags.clear();
  at.clock.now += 3_600_000;
  one.ledger.away();
  one.ledger.back();
  await until(async () => Bun.deepEquals(await known(two), history), { what: "the history" });
});
