import { describe, expect, test } from "bun:test";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const NODES = 50;
/** A full minute only in `npm run test:long`. */
const LIMITED_SECONDS = process.env["ENTREPOT_LONG"] === "1" ? 60 : 6;

const shared = new SharedCache();

async function setUp(tagTtl = "0s") {
  const upstream = await startScriptedUpstream();
  const image = textImage({ text: `before ${upstream.url}` });
  const next = textImage({ text: `after ${upstream.url}` });
  upstream.add("app", image, "1");
  upstream.add("app", next);
  const added = await shared.add({ ...localUpstream(upstream.url), tagTtl });
  const { cache, name, path } = added;
  const get = async (reference = "1") => {
    const response = await cache.get(path(`app/manifests/${reference}`));
    await response.bytes();
    return response;
  };
  return {
    upstream,
    cache,
    name,
    path,
    image,
    next,
    get,
    async [Symbol.asyncDispose]() {
      added[Symbol.dispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

test(`50 nodes pull during ${LIMITED_SECONDS} s of 429: all succeed, with at most 3 upstream requests`, async () => {
  await using at = await setUp();
  const [layer] = at.image.blobs;
  await at.get();
  for (const { digest } of at.image.blobs) {
    await (await at.cache.get(at.path(`app/blobs/${digest}`))).bytes();
  }
  at.upstream.respond(() => faults.tooManyRequests("20"));
  at.upstream.forget();
  const end = performance.now() + LIMITED_SECONDS * 1000;
  const waits: number[] = [];
  const statuses = new Set<number>();
  const node = async () => {
    while (performance.now() < end) {
      const startedAt = performance.now();
      statuses.add((await at.get()).status);
      const blob = await at.cache.get(at.path(`app/blobs/${layer?.digest}`));
      await blob.bytes();
      statuses.add(blob.status);
      waits.push(performance.now() - startedAt);
      await Bun.sleep(100);
    }
  };
  await Promise.all(Array.from({ length: NODES }, node));
  expect(statuses).toEqual(new Set([200]));
  expect(at.upstream.requests().length).toBeLessThanOrEqual(3);
  const slowest = waits.toSorted((a, b) => a - b)[Math.floor(waits.length * 0.99)] ?? 0;
  expect(slowest).toBeLessThan(500);
  expect(waits.length).toBeGreaterThan(NODES * 5);
}, 90_000);

test.concurrent(
  "after Retry-After has passed, a single request probes whether the limit still applies",
  async () => {
    await using at = await setUp();
    const images = Array.from({ length: 30 }, (_, i) => textImage({ text: `image ${i}` }));
    for (const [i, image] of images.entries()) at.upstream.add("app", image, `v${i}`);
    const all = () => Promise.all(images.map((_, i) => at.get(`v${i}`)));
    await all();
    at.upstream.respond(() => faults.tooManyRequests("11"));
    await at.get("v0");
    at.upstream.forget();
    await until(
      async () => {
        for (const { status } of await all()) expect(status).toBe(200);
        return at.upstream.requests().length > 0;
      },
      { what: "the next upstream request", within: 20_000 },
    );
    await all();
    expect(at.upstream.requests().length).toBe(1);
  },
  30_000,
);

describe("while an upstream is rate-limited", () => {
  test.concurrent.each([
    ["seconds", () => "40"],
    ["a date", () => new Date(Date.now() + 41_000).toUTCString()],
  ])(
    "cached tags are served stale at once, and misses get 503 with Retry-After, given as %s",
    async (_, after) => {
      await using at = await setUp();
      await at.get();
      at.upstream.respond(() => faults.tooManyRequests(after()));
      const limited = "entrepot; fwd=stale; fwd-status=429; detail=stale";
      expect((await at.get()).headers.get("cache-status")).toBe(limited);
      at.upstream.forget();
      expect((await at.get()).headers.get("cache-status")).toBe("entrepot; hit; detail=stale");
      const miss = await at.get(at.next.manifest.digest);
      expect(miss.status).toBe(503);
      const wait = Number(miss.headers.get("retry-after"));
      expect(wait).toBeGreaterThan(30);
      expect(wait).toBeLessThanOrEqual(41);
      expect(at.upstream.requests()).toEqual([]);
    },
  );

  test.concurrent("blobs are still fetched if the limit is on manifests", async () => {
    await using at = await setUp();
    at.upstream.respond(({ kind }) =>
      kind === "manifest" ? faults.tooManyRequests("40") : undefined,
    );
    expect((await at.get()).status).toBe(503);
    const [layer] = at.image.blobs;
    expect((await at.cache.get(at.path(`app/blobs/${layer?.digest}`))).status).toBe(200);
  });

  test.concurrent(
    "manifests are still fetched if the limit is on a blob storage host",
    async () => {
      await using at = await setUp();
      await using storage = await startScriptedUpstream();
      storage.respond(() => faults.tooManyRequests("600"));
      at.upstream.respond(({ kind }) =>
        kind === "blob" ? faults.redirect(`${storage.url}/blob?signature=1`) : undefined,
      );
      const [layer] = at.image.blobs;
      const blob = () => at.cache.get(at.path(`app/blobs/${layer?.digest}`));
      const limited = await blob();
      expect(limited.status).toBe(503);
      expect(Number(limited.headers.get("retry-after"))).toBeGreaterThan(500);
      expect((await blob()).status).toBe(503);
      expect(storage.requests().length).toBe(1);
      expect((await at.get()).status).toBe(200);
      const config = { upstreams: { "reg.test": localUpstream(at.upstream.url) } };
      await using other = await startEntrepot({ config });
      storage.respond(() =>
        faults.errorResponse(404, "UNKNOWN", { "ratelimit-remaining": "0;w=60" }),
      );
      await other.get(`/v2/app/blobs/${layer?.digest}?ns=reg.test`);
      expect(await (await other.getAdmin("/metrics")).text()).not.toContain("budget_remaining{");
    },
  );
});

describe("a request budget", () => {
  const budgetHeaders = (remaining: number) => ({
    headers: { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": `${remaining};w=21600` },
  });

  test.concurrent("is exported in the metrics", async () => {
    await using at = await setUp();
    at.upstream.respond(() => budgetHeaders(76));
    await at.get();
    const metrics = await (await at.cache.getAdmin("/metrics")).text();
    const labels = `{upstream="${at.name}",host="${at.upstream.url}"}`;
    expect(metrics).toContain(`entrepot_upstream_budget_remaining${labels} 76`);
    expect(metrics).toContain(`entrepot_upstream_budget_limit${labels} 100`);
    expect(metrics).toContain(`entrepot_upstream_circuit_open${labels} 0`);
  });

  test.concurrent(
    "that is low is reserved for misses, and a moved tag is served stale",
    async () => {
      await using at = await setUp();
      at.upstream.respond(() => budgetHeaders(4));
      await at.get();
      at.upstream.tag("app", "1", at.next.manifest.digest);
      at.upstream.forget();
      const stale = await at.get();
      expect(stale.headers.get("docker-content-digest")).toBe(at.image.manifest.digest);
      expect(stale.headers.get("warning")).toContain("allows only 4 more requests");
      const note = "entrepot; fwd=stale; fwd-status=200; detail=stale";
      expect(stale.headers.get("cache-status")).toBe(note);
      expect(at.upstream.requests({ method: "GET" })).toEqual([]);
      expect((await at.get(at.next.manifest.digest)).status).toBe(200);
      // Now the new manifest is stored, so following the tag needs no GET.
      expect((await at.get()).headers.get("docker-content-digest")).toBe(at.next.manifest.digest);
      expect(at.upstream.requests({ method: "GET" }).length).toBe(1);
    },
  );

  test.concurrent("makes a HEAD precede a GET, since HEAD requests are not counted", async () => {
    await using at = await setUp();
    at.upstream.respond(() => budgetHeaders(50));
    await at.get();
    at.upstream.tag("app", "2", at.image.manifest.digest);
    at.upstream.forget();
    expect((await at.get("2")).status).toBe(200);
    expect(at.upstream.requests().map(({ method }) => method)).toEqual(["HEAD"]);
  });
});

test.concurrent(
  "the circuit of a failing host opens after three failures, and closes after its recovery",
  async () => {
    await using at = await setUp();
    at.upstream.respond(() => ({ hangUp: "reset" }));
    const misses = Array.from({ length: 8 }, (_, i) => `sha256:${String(i).repeat(64)}`);
    const statuses: number[] = [];
    for (const miss of misses) statuses.push((await at.get(miss)).status);
    expect(new Set(statuses)).toEqual(new Set([502]));
    expect(at.upstream.requests({ kind: "manifest" }).length).toBe(3);
    const metrics = await (await at.cache.getAdmin("/metrics")).text();
    expect(metrics).toMatch(/entrepot_upstream_circuit_open\{[^}]*\} 1/);
    at.upstream.respond();
    await until(async () => (await at.get()).status === 200, { what: "the image", within: 20_000 });
  },
  30_000,
);
