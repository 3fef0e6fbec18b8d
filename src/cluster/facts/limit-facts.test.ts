import { expect, test } from "bun:test";
import { replicas, smallImage } from "../../../test/harness/replicas/linked-replicas.ts";
import { ANONYMOUS } from "../../upstream/auth/keyring.ts";
import { RateLimits } from "../../upstream/health/rate-limits.ts";
import { faultOf } from "../../upstream/upstreamtest/test-servers.ts";
import type { Fact } from "../ledger/facts.ts";
import { LimitFacts } from "./limit-facts.ts";

test("after a 429 of one replica, the others ask nothing, and serve what they have", async () => {
  await using at = await replicas();
  const { one, two, three } = at;
  at.push("1", smallImage("limited"));
  await one.pull("1");
  await two.pull("1");
  at.clock.now += 60_000;
  at.answer = () => new Response("", { status: 429, headers: { "retry-after": "60" } });
  expect(await one.pull("1")).toMatchObject({ result: "stale" });
  await at.settled();
  at.requests();
  expect(await two.pull("1")).toMatchObject({ result: "stale" });
  const limited = { kind: "upstream-rate-limited", retryAfter: 60 };
  expect(await faultOf(three.pull("1"))).toMatchObject(limited);
  expect(at.requests()).toEqual([]);
  at.answer = undefined;
  at.clock.now += 60_000;
  expect(await two.pull("1")).toMatchObject({ result: "revalidated" });
});

test("a replica that starts hears of limits that still hold", async () => {
  await using at = await replicas();
  at.answer = () => new Response("", { status: 429, headers: { "retry-after": "60" } });
  await faultOf(at.one.pull("2"));
  at.requests();
  const two = await at.restart("two");
  await at.settled();
  expect(await faultOf(two.pull("2"))).toMatchObject({ kind: "upstream-rate-limited" });
  expect(at.requests()).toEqual([]);
});

test("the lowest budget of a window is that of all, and a HEAD comes first everywhere", async () => {
  await using at = await replicas();
  const { one, two, three } = at;
  at.push("3", smallImage("counted"));
  at.answer = ({ method, path }) => {
    if (method !== "HEAD" || !path.endsWith("/3")) return undefined;
    const image = smallImage("counted");
    const headers = {
      "content-type": image.mediaType,
      "content-length": String(image.size),
      "docker-content-digest": image.digest,
      "ratelimit-limit": "100;w=21600",
      "ratelimit-remaining": `${remaining};w=21600`,
    };
    return new Response(null, { headers });
  };
  let remaining = 7;
  await one.head("3");
  await at.settled();
  expect(three.upstream.registry.budget).toEqual({ remaining: 7, limit: 100, window: 21_600 });
  expect(three.upstream.registry.isBudgetLow).toBe(true);
  remaining = 3;
  at.clock.now += 60_000;
  await two.head("3");
  await at.settled();
  expect(one.upstream.registry.budget?.remaining).toBe(3);
  expect(three.upstream.registry.budget?.remaining).toBe(3);
});

test("the connections to an upstream are divided by the replicas, and each has at least one", async () => {
  await using at = await replicas();
  expect(at.one.upstream.registry.maxConnections).toBe(10);
  await at.three.ledger.close();
  expect(at.one.upstream.registry.maxConnections).toBe(16);
});

/** What replicas with these secrets tell each other, through a ledger that is only told. */
function pair(secret: string, otherSecret = secret) {
  const clock = { now: 0 };
  const told: Fact[] = [];
  const ledger = { tell: (fact: Fact) => void told.push(fact) };
  const now = (): number => clock.now;
  const [mine, theirs] = [secret, otherSecret].map((one) => {
    const shared = new LimitFacts({ ledger, secret: one, now });
    const limits = new RateLimits({
      upstream: "reg.test",
      host: "https://reg.test/",
      pooled: shared,
      now,
    });
    return { shared, limits };
  });
  if (!mine || !theirs) throw new Error("two were made");
  const deliver = (): void => {
    for (const fact of told) {
      if (fact.kind === "rest" || fact.kind === "budget") theirs.shared.heard(fact);
    }
  };
  return { clock, told, mine: mine.limits, theirs: theirs.limits, deliver };
}

test("limits are those of one account, of which the ledger says nothing", () => {
  const { told, mine, theirs, deliver } = pair("secret");
  mine.rateLimited("account-of-somebody", "metadata", 30);
  expect(JSON.stringify(told)).not.toContain("somebody");
  deliver();
  expect(theirs.fault("account-of-somebody", "metadata")).toBeDefined();
  expect(theirs.fault("account-of-somebody", "blob")).toBeUndefined();
  expect(theirs.fault("another", "metadata")).toBeUndefined();
  expect(theirs.fault(ANONYMOUS, "metadata")).toBeUndefined();
});

test("without credentials, limits are those of the address that a host counts by, where it says so", () => {
  const from = (source: string): Headers =>
    new Headers({ "ratelimit-remaining": "1", "docker-ratelimit-source": source });
  const { mine, theirs, deliver } = pair("secret");
  mine.readHeaders(ANONYMOUS, from("192.0.2.1"));
  theirs.readHeaders(ANONYMOUS, from("192.0.2.2"));
  mine.rateLimited(ANONYMOUS, "metadata", 30);
  deliver();
  expect(theirs.fault(ANONYMOUS, "metadata")).toBeUndefined();
  theirs.readHeaders(ANONYMOUS, from("192.0.2.1"));
  expect(theirs.fault(ANONYMOUS, "metadata")).toBeDefined();
});

test("concurrent 429s are told once, and budgets at most once a second", () => {
  const { clock, told, mine } = pair("secret");
  for (let turn = 0; turn < 100; turn += 1) {
    clock.now += 5;
    mine.rateLimited("me", "metadata", 30);
    mine.readHeaders("me", new Headers({ "ratelimit-remaining": `${100 - turn};w=60` }));
  }
  expect(told.map(({ kind }) => kind)).toEqual(["rest", "budget"]);
  clock.now += 1000;
  mine.rateLimited("me", "metadata", 30);
  mine.readHeaders("me", new Headers({ "ratelimit-remaining": "0;w=60" }));
  expect(told.map(({ kind }) => kind)).toEqual(["rest", "budget", "rest", "budget"]);
});

test("a rest that is heard ends within an hour, whatever its length", () => {
  const told: Fact[] = [];
  const ledger = { tell: (fact: Fact) => void told.push(fact) };
  const [teller, hearer] = [1, 2].map(
    () => new LimitFacts({ ledger, secret: "secret", now: () => 0 }),
  );
  const limited = { upstream: "reg.test", host: "https://reg.test/", account: "me" };
  teller?.rested(limited, "list", Number.MAX_VALUE);
  for (const fact of told) if (fact.kind === "rest") hearer?.heard(fact);
  expect(hearer?.restLeft(limited, "list")).toBe(3_600_000);
});
