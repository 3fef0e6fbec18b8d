import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { statusSchema } from "../src/api/status.ts";
import { command, commandOn } from "./harness/cache/commands.ts";
import { randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

async function statusOf(cache: Entrepot) {
  const { code, stdout } = await command(cache, "status", "--json");
  return { code, ...statusSchema.parse(JSON.parse(stdout)) };
}

test("status reports the store, downloads, upstreams, request budgets and saved traffic", async () => {
  await using upstream = await startScriptedUpstream();
  const [image, large] = [textImage({ text: "status" }), randomContent(24 * MIB, 1)];
  upstream.add("app", image, "1");
  upstream.addBlob("app", large);
  const config = { upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1h" } } };
  const startedAt = Date.now();
  await using cache = await startEntrepot({ config });
  upstream.respond(({ reference }) => ({
    headers: { "ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600" },
    ...(reference === large.digest ? faults.stallAfter(8 * MIB) : {}),
  }));
  for (let i = 0; i < 4; i += 1) {
    await (await cache.get("/v2/app/manifests/1?ns=reg.test")).bytes();
  }
  const download = await cache.get(`/v2/app/blobs/${large.digest}?ns=reg.test`);
  const rest = download.bytes();
  const fill = await until(
    async () => {
      const [one] = (await statusOf(cache)).fills;
      return one && one.received > 7 * MIB && one;
    },
    { what: "the download's progress" },
  );
  expect(fill).toEqual({
    digest: large.digest,
    source: "reg.test/app",
    size: large.size,
    received: expect.any(Number),
    resumedBytes: 0,
    since: expect.any(Number),
    clients: 1,
    connections: 1,
  });
  const text = await command(cache, "status");
  expect([text.code, text.stderr]).toEqual([0, ""]);
  expect(text.stdout).toMatch(/^reg\.test\/app@sha256:[0-9a-f]{12}… +24 MiB +3\d % /m);
  upstream.respond();
  upstream.release();
  await rest;
  const status = await until(
    async () => {
      const now = await statusOf(cache);
      return now.fills.length === 0 && now;
    },
    { what: "the download to finish" },
  );
  expect(status.code).toBe(0);
  expect(status.startedAt).toBeGreaterThanOrEqual(startedAt);
  expect(status.listening).toEqual({
    listen: cache.address,
    admin: cache.adminAddress,
    ports: {},
  });
  expect(status.storage).toMatchObject({
    dataDirectory: cache.data,
    isFull: false,
    partialBytes: 0,
  });
  expect(status.storage.blobBytes).toBeGreaterThan(large.size);
  expect(status.storage.free).toBeGreaterThan(0);
  expect(status.upstreams).toEqual([
    {
      name: "reg.test",
      state: "ok",
      addresses: [
        {
          url: `${upstream.url}/`,
          isMirror: false,
          circuit: "closed",
          budget: { remaining: 76, limit: 100, window: 21_600, resetAt: expect.any(Number) },
        },
      ],
      rate: { used: expect.any(Number) },
      credentials: { state: "none" },
      access: { mode: "open", entries: 0 },
      prefetch: { state: "on", downloaded: 0, asked: 0 },
      traffic: {
        responses: 5,
        fromCache: 3,
        hitRatio: 0.6,
        sentBytes: 4 * image.manifest.size + large.size,
        fetchedBytes: image.manifest.size + large.size,
        savedBytes: 3 * image.manifest.size,
      },
    },
  ]);
});

test("status exits with 1 for a failed upstream, a rate limit, an ejected mirror and a wrong password", async () => {
  await using upstream = await startScriptedUpstream();
  await using mirror = await startScriptedUpstream();
  await using down = await startScriptedUpstream();
  await down.stop();
  const image = textImage({ text: "mirrored" });
  for (const registry of [upstream, mirror]) registry.add("app", image, "1");
  const base = localUpstream(upstream.url);
  const auth = { username: "me", password: "wrong" };
  const upstreams = {
    "out.test": localUpstream(down.url),
    "limits.test": base,
    "mirrored.test": { ...base, auth, mirrors: [localUpstream(mirror.url)] },
  };
  await using cache = await startEntrepot({ config: { upstreams } });
  const get = async (name: string, reference: string) =>
    (await cache.get(`/v2/app/manifests/${reference}?ns=${name}`)).status;
  upstream.respond(() => faults.tooManyRequests("400"));
  expect(await get("limits.test", "1")).toBe(503);
  const since = Date.now();
  for (const i of [1, 2, 3]) expect(await get("out.test", `v${i}`)).toBe(502);
  mirror.respond(() => ({ flipBitAt: 3 }));
  upstream.respond(({ headers, nth }) =>
    headers.has("authorization") || nth === 1 ? faults.unauthorized('Basic realm="x"') : undefined,
  );
  upstream.forget();
  expect(await get("mirrored.test", image.manifest.digest)).toBe(200);
  const status = await statusOf(cache);
  expect(status.code).toBe(1);
  const [out, limits, mirrored] = status.upstreams;
  expect(out).toMatchObject({ state: "unavailable", addresses: [{ circuit: "open" }] });
  const reason = `out.test cannot be reached: ${down.address} refuses connections`;
  expect(out?.addresses[0]?.reason).toBe(reason);
  expect(out?.addresses[0]?.since).toBeGreaterThanOrEqual(since);
  expect(out?.addresses[0]?.lastError?.message).toBe(reason);
  expect(limits?.state).toBe("rate-limited");
  expect(limits?.addresses[0]?.rateLimitedUntil).toBeGreaterThan(Date.now() + 300_000);
  expect(mirrored).toMatchObject({
    state: "ok",
    addresses: [{ circuit: "open", isMirror: true }, { circuit: "closed" }],
    credentials: { state: "refused" },
  });
  const text = await command(cache, "status");
  expect(text.code).toBe(1);
  expect(text.stdout.slice(text.stdout.indexOf("Problems:")).trimEnd().split("\n")).toEqual([
    "Problems:",
    `  out.test is unavailable: ${reason}`,
    "  limits.test is rate limiting this cache",
    expect.stringMatching(
      /^ {2}the mirror http:\S+ of mirrored\.test is unavailable: .*a manifest that should be/,
    ),
    expect.stringMatching(
      /^ {2}127\S+ answered 401 to the credentials of mirrored\.test \(user me\): correct them/,
    ),
  ]);
  expect(text.stdout).not.toContain("wrong ");
}, 30_000);

test("a failed request is a problem until the next one is answered, and the catalog is of no upstream", async () => {
  await using upstream = await startScriptedUpstream();
  upstream.add("app", textImage({ text: "fails" }), "1", "2");
  const config = { upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: 0 } } };
  await using cache = await startEntrepot({ config });
  const get = async (path: string): Promise<number> => {
    const response = await cache.get(`/v2/${path}?ns=reg.test`);
    await response.bytes();
    return response.status;
  };
  expect(await get("_catalog")).toBe(200);
  const nothing = { responses: 0, fromCache: 0, sentBytes: 0, fetchedBytes: 0, savedBytes: 0 };
  const start = await statusOf(cache);
  expect([start.code, start.upstreams[0]?.traffic]).toEqual([0, nothing]);

  const failures = [faults.errorResponse(500), faults.errorResponse(400), faults.htmlPage];
  for (const [turn, failure] of failures.entries()) {
    upstream.respond(() => failure);
    // A name that is asked for the first time: failures are remembered for a moment.
    expect(await get(`app/manifests/new${turn}`)).toBe(502);
    const failing = await statusOf(cache);
    expect(failing.code).toBe(1);
    expect(failing.problems).toEqual([
      expect.stringMatching(/^the last request to reg\.test failed: reg\.test \S/),
    ]);
    const { stdout } = await command(cache, "status");
    expect(stdout).toMatch(new RegExp(`^${upstream.url} +failing +- +just now: reg.test `, "m"));
    upstream.respond();
    // That something is missing is an answer, too.
    expect(await get(`app/manifests/missing${turn}`)).toBe(404);
    const working = await statusOf(cache);
    expect([working.code, working.problems]).toEqual([0, []]);
  }
  expect((await statusOf(cache)).upstreams[0]?.traffic).toMatchObject({ savedBytes: 0 });
});

test("credentials are reported as unused until a registry has accepted them, then as ok", async () => {
  await using upstream = await startScriptedUpstream();
  upstream.add("app", textImage({ text: "private" }), "1", "2");
  const auth = { username: "me", password: "right" };
  const upstreams = { "reg.test": { ...localUpstream(upstream.url), auth } };
  await using cache = await startEntrepot({ config: { upstreams } });
  const state = async () => (await statusOf(cache)).upstreams[0]?.credentials;
  const get = async (tag: string) =>
    (await cache.get(`/v2/app/manifests/${tag}?ns=reg.test`)).status;
  expect(await state()).toEqual({ state: "unused" });
  // A registry that requires no credentials does not verify them.
  expect(await get("1")).toBe(200);
  expect(await state()).toEqual({ state: "unused" });
  upstream.respond(({ headers }) =>
    headers.has("authorization") ? undefined : faults.unauthorized('Basic realm="x"'),
  );
  expect(await get("2")).toBe(200);
  expect(await state()).toEqual({ state: "ok" });
});

test("without a running cache, status exits with 1 and says what to do", async () => {
  await using dir = await tempDir("status");
  await writeFile(dir.file("entrepot.yaml"), "");
  const { code, stderr, stdout } = await commandOn(
    dir.file("data"),
    dir.file("entrepot.yaml"),
    "status",
  );
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toBe(
    "entrepot: no cache responds at http://127.0.0.1:1/api/v1/: start it with entrepot serve, or give its --admin or --config\n",
  );
});
