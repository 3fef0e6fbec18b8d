import { describe, expect, test } from "bun:test";
import { localUpstream } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
import * as faults from "./harness/faults/faults.ts";
import { multiPlatformImage, textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const shared = new SharedCache();

async function setUp(tagTtl: string) {
  const upstream = await startScriptedUpstream();
  const before = textImage({ text: `before ${upstream.url}` });
  const after = textImage({ text: `after ${upstream.url}` });
  upstream.add("app", before, "1");
  upstream.add("app", after);
  const added = await shared.add({ ...localUpstream(upstream.url), tagTtl });
  const { cache } = added;
  const get = async () => {
    const response = await cache.get(added.path("app/manifests/1"));
    await response.bytes();
    return response;
  };
  const digest = (response: Response) => response.headers.get("docker-content-digest");
  return {
    upstream,
    cache,
    path: added.path,
    before: before.manifest.digest,
    after: after.manifest.digest,
    get,
    digest,
    async [Symbol.asyncDispose]() {
      added[Symbol.dispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

test("a tag within its TTL is served without an upstream request", async () => {
  await using at = await setUp("1h");
  await at.get();
  at.upstream.tag("app", "1", at.after);
  at.upstream.forget();
  expect(at.digest(await at.get())).toBe(at.before);
  expect(at.upstream.requests()).toEqual([]);
});

test("a tag past its TTL is revalidated by HEAD, and a moved tag is followed", async () => {
  await using at = await setUp("100ms");
  await at.get();
  at.upstream.forget();
  const cacheStatus = async () => (await at.get()).headers.get("cache-status");
  const revalidated = "entrepot; fwd=stale; fwd-status=200; detail=revalidated";
  await until(async () => (await cacheStatus()) === revalidated, { what: "a revalidation" });
  const methods = at.upstream.requests().map(({ method }) => method);
  expect(new Set(methods)).toEqual(new Set(["HEAD"]));
  at.upstream.tag("app", "1", at.after);
  const replaced = "entrepot; fwd=stale; fwd-status=200; stored";
  const moved = async () => {
    const response = await at.get();
    return at.digest(response) === at.after && response.headers.get("cache-status");
  };
  expect(await until(moved, { what: "the new image" })).toBe(replaced);
});

test("concurrent requests for one tag are collapsed into one upstream request", async () => {
  await using at = await setUp("0s");
  await Promise.all(Array.from({ length: 30 }, at.get));
  expect(at.upstream.requests().length).toBe(1);
  at.upstream.forget();
  const slow = Promise.withResolvers<void>();
  at.upstream.respond(() => ({ hold: slow.promise }));
  const all = Promise.all(Array.from({ length: 30 }, at.get));
  await until(() => at.upstream.requests().length > 0, { what: "the revalidation" });
  slow.resolve();
  const statuses = (await all).map((response) => response.status);
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(at.upstream.requests().length).toBeLessThan(4);
});

test("a platform's manifest is fetched only when a client requests it", async () => {
  await using at = await setUp("0s");
  const image = await multiPlatformImage({ text: "many" });
  at.upstream.add("many", image, "1");
  at.upstream.forget();
  const response = await at.cache.get(at.path("many/manifests/1"));
  await response.bytes();
  const requests = at.upstream.requests().map(({ method, reference }) => `${method} ${reference}`);
  expect(requests).toEqual(["GET 1"]);
});

describe("a stale tag is served", () => {
  const cases: [string, faults.Fault, string | undefined][] = [
    ["429", faults.tooManyRequests("60"), "fwd-status=429"],
    ["500", faults.errorResponse(500), "fwd-status=500"],
    ["401", faults.errorResponse(401), "fwd-status=401"],
    ["403", faults.errorResponse(403), "fwd-status=403"],
    ["a reset", { hangUp: "reset" }, undefined],
    ["HTML", faults.htmlPage, undefined],
  ];
  test.each(cases)("for %s", async (_, fault, status) => {
    await using at = await setUp("0s");
    await at.get();
    at.upstream.respond(() => fault);
    at.upstream.tag("app", "1", at.after);
    const response = await at.get();
    expect(response.status).toBe(200);
    expect(at.digest(response)).toBe(at.before);
    const cacheStatus = response.headers.get("cache-status");
    expect(cacheStatus).toBe(`entrepot; fwd=stale${status ? `; ${status}` : ""}; detail=stale`);
    expect(response.headers.get("warning")).toStartWith('299 - "Response is stale');
  });

  test("for an upstream that hangs: after one second the first time, then at once", async () => {
    await using at = await setUp("0s");
    await at.get();
    at.upstream.respond(() => faults.neverResponds);
    const waits: number[] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      const startedAt = performance.now();
      const cacheStatus = (await at.get()).headers.get("cache-status");
      // Later pulls do not wait for the upstream: they are answered without it.
      expect(cacheStatus).toBe(`entrepot; ${turn === 0 ? "fwd=stale" : "hit"}; detail=stale`);
      waits.push(performance.now() - startedAt);
    }
    const [first = 0, ...rest] = waits;
    expect(first).toBeGreaterThan(900);
    expect(first).toBeLessThan(2000);
    expect(Math.max(...rest)).toBeLessThan(500);
  });

  test("until the upstream has recovered; then it is followed", async () => {
    await using at = await setUp("0s");
    await at.get();
    at.upstream.tag("app", "1", at.after);
    await at.upstream.stop();
    expect(at.digest(await at.get())).toBe(at.before);
    await at.upstream.start();
    await until(async () => at.digest(await at.get()) === at.after, {
      what: "the new image",
      within: 20_000,
    });
  }, 30_000);
});

test("a tag that is deleted upstream is not served any more", async () => {
  await using at = await setUp("0s");
  await at.get();
  at.upstream.tag("app", "1", undefined);
  expect((await at.get()).status).toBe(404);
  await at.upstream.stop();
  expect((await at.get()).status).toBe(502);
});
