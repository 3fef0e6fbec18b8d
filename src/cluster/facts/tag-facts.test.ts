import { expect, test } from "bun:test";
import { GlobPattern } from "../../config/parsing/glob-pattern.ts";
import { faultOf, tag as tagName } from "../../upstream/upstreamtest/test-servers.ts";
import { replicas, smallImage } from "../../../test/harness/linked-replicas.ts";

const [before, after] = [smallImage("before"), smallImage("after")];
const TTL = 30_000;

function glob(text: string): GlobPattern {
  const pattern = GlobPattern.compile(text);
  if (typeof pattern === "string") throw new Error(pattern);
  return pattern;
}

test("a tag that another replica checked is taken at its word, and its manifest fetched by digest", async () => {
  await using at = await replicas();
  const { one, two } = at;
  at.push("1", before);
  await one.pull("1");
  expect(at.requests()).toEqual(["GET 1"]);
  expect(await two.pull("1")).toEqual({ digest: before.digest, result: "miss" });
  expect(at.requests()).toEqual(["GET digest"]);
  expect(await two.pull("1")).toEqual({ digest: before.digest, result: "hit" });
  expect(at.requests()).toEqual([]);
});

test("a HEAD is answered in the same way", async () => {
  await using at = await replicas();
  const { one, two } = at;
  at.push("1", before);
  await one.pull("1");
  at.requests();
  expect(await two.head("1")).toBe(before.digest);
  expect(at.requests()).toEqual(["GET digest"]);
});

test("an expired tag that another replica has checked since is fresh, for as long as that check is", async () => {
  await using at = await replicas();
  const { one, two } = at;
  at.push("1", before);
  await one.pull("1");
  await two.pull("1");
  at.clock.now += TTL + 1;
  expect(await one.pull("1")).toEqual({ digest: before.digest, result: "revalidated" });
  at.requests();
  at.clock.now += TTL - 1;
  expect(await two.pull("1")).toEqual({ digest: before.digest, result: "hit" });
  expect(at.requests()).toEqual([]);
  at.clock.now += 1;
  expect(await two.pull("1")).toEqual({ digest: before.digest, result: "revalidated" });
  expect(at.requests()).toEqual(["HEAD 1"]);
});

test("a tag that moved is known to the others although their records are fresh", async () => {
  await using at = await replicas();
  const { one, two, three } = at;
  at.push("1", before);
  for (const replica of at.all) await replica.pull("1");
  at.clock.now += TTL / 2;
  // This replica knows that it has to look again; the others would serve what they have.
  await one.cache.tagMoved(one.upstream, one.repo, tagName("1"), { digest: undefined, ageMs: 0 });
  at.push("1", after);
  at.requests();
  expect(await one.pull("1")).toEqual({ digest: after.digest, result: "miss" });
  await at.settled();
  expect(await two.pull("1")).toEqual({ digest: after.digest, result: "miss" });
  expect(await three.pull("1")).toEqual({ digest: after.digest, result: "miss" });
  expect(at.requests()).toEqual(["HEAD 1", "GET 1", "GET digest", "GET digest"]);
});

test("a tag that moved is served as it was where nothing else can be had", async () => {
  let isDown = false;
  await using at = await replicas({
    answer: ({ path }) =>
      isDown && path.includes("/v2/") ? new Response("", { status: 500 }) : undefined,
  });
  const { one, two } = at;
  at.push("1", before);
  await one.pull("1");
  await two.pull("1");
  isDown = true;
  one.ledger.tell({
    kind: "tag",
    repo: one.repo,
    tag: tagName("1"),
    digest: after.digest,
    ageMs: -1,
  });
  await at.settled();
  expect(await two.pull("1")).toEqual({ digest: before.digest, result: "stale" });
});

test("a tag that was removed is asked for, and is then gone from all", async () => {
  await using at = await replicas();
  const { one, two } = at;
  at.push("1", before);
  await one.pull("1");
  await two.pull("1");
  at.clock.now += TTL + 1;
  at.push("1", undefined);
  expect(await faultOf(one.pull("1"))).toMatchObject({ kind: "not-found" });
  await at.settled();
  at.requests();
  expect(await faultOf(two.pull("1"))).toMatchObject({ kind: "not-found" });
  expect(at.requests()).toEqual(["HEAD 1", "GET 1"]);
});

test("what a replica has checked later than the ledger knows is not taken back", async () => {
  await using at = await replicas();
  const { one, two } = at;
  at.push("1", before);
  await one.pull("1");
  two.ledger.away();
  at.clock.now += 60_000;
  at.push("1", after);
  expect(await two.pull("1")).toEqual({ digest: after.digest, result: "miss" });
  // The ledger hears of it late, and must not believe that the other one is younger.
  at.clock.now += TTL - 1;
  one.ledger.tell({
    kind: "tag",
    repo: one.repo,
    tag: tagName("1"),
    digest: before.digest,
    ageMs: 60_000 + TTL - 1,
  });
  two.ledger.back();
  await at.settled();
  at.requests();
  expect(await two.pull("1")).toEqual({ digest: after.digest, result: "hit" });
  expect(await one.pull("1")).toEqual({ digest: after.digest, result: "miss" });
  expect(at.requests()).toEqual(["GET digest"]);
});

test("with the ledger away, each replica asks for itself; back again, all know what was found", async () => {
  await using at = await replicas();
  const { one, two } = at;
  at.push("1", before);
  one.ledger.away();
  await one.pull("1");
  await two.pull("1");
  expect(at.requests()).toEqual(["GET 1", "GET 1"]);
  at.clock.now += TTL + 1;
  at.push("1", after);
  await two.pull("1");
  at.requests();
  one.ledger.back();
  await at.settled();
  expect(await one.pull("1")).toEqual({ digest: after.digest, result: "miss" });
  expect(at.requests()).toEqual(["GET digest"]);
});

test("what the ledger knows from before a purge is not used", async () => {
  await using at = await replicas();
  const { one, two } = at;
  at.push("1", before);
  await one.pull("1");
  at.push("1", after);
  at.requests();
  two.purges.add("reg.test/app:1", at.clock.now);
  expect(await two.pull("1")).toEqual({ digest: after.digest, result: "miss" });
  expect(at.requests()).toEqual(["GET 1"]);
});

test("news of immutable tags change nothing", async () => {
  await using at = await replicas({ settings: { immutableTags: [glob("v*")] } });
  const { one, two } = at;
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
