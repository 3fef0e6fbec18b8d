import { expect, test } from "bun:test";
import { ownContent } from "./harness/images/content.ts";
import { type LogLine, localUpstream } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { verifyStore } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const shared = new SharedCache();

async function setUp() {
  const [first, second, registry] = await Promise.all([
    startScriptedUpstream(),
    startScriptedUpstream(),
    startScriptedUpstream(),
  ]);
  const images = Array.from({ length: 8 }, (_, i) =>
    textImage({ text: `image ${i} ${registry.url}` }),
  );
  for (const upstream of [first, second, registry]) {
    for (const [i, image] of images.entries()) upstream.add("app", image, String(i));
  }
  const auth = { username: "me", password: "s3cret" };
  const mirrors = [first, second].map(({ url }) => localUpstream(url));
  const added = await shared.add({ ...localUpstream(registry.url), auth, mirrors });
  const { cache, name, path } = added;
  const get = (reference: number | string) => cache.get(path(`app/manifests/${reference}`));
  const requestCounts = () =>
    [first, second, registry].map((upstream) => upstream.requests().length);
  return {
    first,
    second,
    registry,
    cache,
    name,
    get,
    blob: (digest: string) => cache.get(path(`app/blobs/${digest}`)),
    /** The state of each upstream's circuit breaker in the metrics: 1 is open. */
    async circuits() {
      const metrics = await (await cache.getAdmin("/metrics")).text();
      return [first, second, registry].map(({ url }) =>
        Number(metrics.split(`_circuit_open{upstream="${name}",host="${url}"} `)[1]?.[0]),
      );
    },
    requestCounts,
    async [Symbol.asyncDispose]() {
      added[Symbol.dispose]();
      for (const upstream of [first, second, registry]) await upstream[Symbol.asyncDispose]();
    },
  };
}

test.concurrent("mirrors are tried in order, without the registry's credentials", async () => {
  await using at = await setUp();
  at.first.respond(({ headers }) =>
    headers.has("authorization") ? undefined : faults.unauthorized('Basic realm="x"'),
  );
  expect((await at.get(0)).status).toBe(200);
  // The first mirror requires credentials and gets none.
  expect(at.requestCounts()).toEqual([1, 1, 0]);
  expect(at.first.requests().map(({ headers }) => headers.get("authorization"))).toEqual([null]);
});

test.concurrent(
  "each mirror has its own circuit breaker: one that just failed is skipped",
  async () => {
    await using at = await setUp();
    await at.first.stop();
    at.second.respond(() => faults.errorResponse(503));
    for (const i of [0, 1, 2, 3]) expect((await at.get(i)).status).toBe(200);
    expect(at.requestCounts()).toEqual([0, 1, 4]);
  },
);

test.concurrent("a mirror that responds 404 or 429 is followed by the next", async () => {
  await using at = await setUp();
  at.first.respond(() => faults.errorResponse(404));
  at.second.respond(() => faults.tooManyRequests("60"));
  for (const i of [0, 1, 2]) expect((await at.get(i)).status).toBe(200);
  expect(at.requestCounts()).toEqual([3, 1, 3]);
});

test.concurrent("the client gets the registry's error rather than a mirror's 404", async () => {
  await using at = await setUp();
  at.first.respond(() => faults.errorResponse(404));
  await at.second.stop();
  await at.registry.stop();
  const response = await at.get("missing");
  expect([response.status, await response.text()]).toEqual([
    502,
    expect.stringContaining("refuses connections"),
  ]);
});

const MIB = 1024 * 1024;

test.concurrent(
  "a mirror that sends a wrong blob is ejected, and a small blob comes from the next",
  async () => {
    await using at = await setUp();
    const blob = ownContent(2 * MIB);
    for (const upstream of [at.first, at.second]) upstream.addBlob("app", blob);
    at.first.respond(({ kind }) => (kind === "blob" ? { flipBitAt: 1000 } : undefined));
    const got = await at.blob(blob.digest);
    expect([got.status, (await got.bytes()).length]).toEqual([200, blob.size]);
    expect(at.requestCounts()).toEqual([1, 1, 0]);
    expect(await at.circuits()).toEqual([1, 0, 0]);
    expect((await at.get(0)).status).toBe(200);
    expect(at.requestCounts()).toEqual([1, 2, 0]);
    const ejected = (): LogLine | undefined =>
      at.cache.logs().find(({ msg, mirror }) => {
        return msg === "mirror ejected for ten minutes" && mirror === `${at.first.url}/`;
      });
    expect(await until(ejected, { what: "the ejection to be logged" })).toMatchObject({
      level: "warn",
      error: expect.stringContaining(`the bytes sent as ${blob.digest} do not match the digest`),
    });
  },
);

test.concurrent(
  "a bypassed blob that a mirror sends wrong comes from the next as well",
  async () => {
    await using mirror = await startScriptedUpstream();
    await using registry = await startScriptedUpstream();
    const blob = ownContent(MIB);
    for (const upstream of [mirror, registry]) upstream.addBlob("app", blob);
    mirror.respond(() => ({ flipBitAt: 1000 }));
    const settings = {
      ...localUpstream(registry.url),
      bypass: ["**"],
      mirrors: [localUpstream(mirror.url)],
    };
    using added = await shared.add(settings);
    const got = await added.cache.get(added.path(`app/blobs/${blob.digest}`));
    const hash = new Bun.CryptoHasher("sha256").update(await got.bytes()).digest("hex");
    expect([got.status, `sha256:${hash}`]).toEqual([200, blob.digest]);
    expect([mirror.requests().length, registry.requests().length]).toEqual([1, 1]);
  },
);

test.concurrent(
  "a client that got wrong bytes of a large blob is cut off, and its retry gets the right ones",
  async () => {
    await using at = await setUp();
    const blob = ownContent(24 * MIB);
    for (const upstream of [at.first, at.registry]) upstream.addBlob("app", blob);
    at.second.respond(() => faults.errorResponse(404));
    at.first.respond(() => ({ flipBitAt: 1000, ...faults.slow(48 * MIB) }));
    const cut = await at.blob(blob.digest);
    const bytes = await cut.bytes().catch(() => new Uint8Array());
    expect(bytes.length).toBeLessThan(blob.size);
    const retry = await at.blob(blob.digest);
    const hash = new Bun.CryptoHasher("sha256").update(await retry.bytes()).digest("hex");
    expect(`sha256:${hash}`).toBe(blob.digest);
    expect(await verifyStore(at.cache.data)).toContain(blob.digest);
    const sent = at.registry.requests().reduce((sum, request) => sum + request.sent, 0);
    expect(sent).toBe(blob.size);
  },
  30_000,
);

test.concurrent(
  "mirrors that send a wrong manifest or a web page are ejected, and the next is tried",
  async () => {
    await using at = await setUp();
    at.first.respond(() => ({ flipBitAt: 20 }));
    at.second.respond(() => faults.htmlPage);
    for (const i of [0, 1]) expect((await at.get(i)).status).toBe(200);
    expect(at.requestCounts()).toEqual([1, 1, 2]);
    expect(await at.circuits()).toEqual([1, 1, 0]);
  },
);

test.concurrent(
  "a mirror is ejected for an invalid manifest only if the registry has another one",
  async () => {
    await using at = await setUp();
    const body = '{"errors":[{"code":"TRY_LATER"}]}';
    const digest = `sha256:${Bun.SHA256.hash(body, "hex")}`;
    const headers = { "Content-Type": "application/json", "Docker-Content-Digest": digest };
    at.first.respond(() => ({ body, headers }));
    at.second.respond(() => faults.errorResponse(404));
    at.registry.respond(() => ({ body, headers }));
    const refused = await at.get(0);
    expect([refused.status, await refused.text()]).toEqual([
      502,
      expect.stringContaining("the manifest is not valid: "),
    ]);
    expect(await at.circuits()).toEqual([0, 0, 0]);
    at.registry.respond();
    expect((await at.get(1)).status).toBe(200);
    expect(at.requestCounts()).toEqual([2, 2, 2]);
    expect(await at.circuits()).toEqual([1, 0, 0]);
  },
);

test.concurrent(
  "a mirror that sends a manifest too slowly times out like one that hangs",
  async () => {
    await using at = await setUp();
    at.first.respond(() => faults.slow(10));
    const startedAt = performance.now();
    expect((await at.get(0)).status).toBe(200);
    expect(performance.now() - startedAt).toBeLessThan(15_000);
  },
  30_000,
);

test.concurrent(
  "a mirror whose blob transfers break off three times is skipped",
  async () => {
    await using at = await setUp();
    const blob = ownContent(24 * MIB);
    for (const upstream of [at.first, at.second]) upstream.addBlob("app", blob);
    at.first.respond(({ kind }) => (kind === "blob" ? faults.cutAfter(2 * MIB) : undefined));
    const got = await at.blob(blob.digest);
    expect((await got.bytes()).length).toBe(blob.size);
    expect(at.requestCounts()).toEqual([3, 1, 0]);
    expect(await at.circuits()).toEqual([1, 0, 0]);
  },
  30_000,
);

test.concurrent(
  "transfers that break off at the registry open no circuit",
  async () => {
    await using at = await setUp();
    for (const mirror of [at.first, at.second]) mirror.respond(() => faults.errorResponse(404));
    const blob = ownContent(8 * MIB);
    at.registry.addBlob("app", blob);
    at.registry.respond(({ kind, reference }) =>
      kind === "blob" && reference === blob.digest ? faults.cutAfter(0) : undefined,
    );
    const cut = at.blob(blob.digest);
    const attempts = () => at.registry.requests({ reference: blob.digest }).length;
    await until(() => attempts() > 3, { what: "more attempts" });
    expect((await at.blob(ownContent(10).digest)).status).toBe(404);
    expect(await at.circuits()).toEqual([0, 0, 0]);
    at.registry.respond();
    expect((await (await cut).bytes()).length).toBe(blob.size);
  },
  60_000,
);

test.concurrent(
  "an unreachable blob storage host is not dialled for a while, and status reports it",
  async () => {
    await using at = await setUp();
    for (const mirror of [at.first, at.second]) mirror.respond(() => faults.errorResponse(404));
    await using storage = await startScriptedUpstream();
    await storage.stop();
    at.registry.respond(({ kind }) =>
      kind === "blob" ? faults.redirect(`${storage.url}/blob?signature=1`) : undefined,
    );
    const digests = [1, 2, 3, 4].map(() => ownContent(100).digest);
    for (const digest of digests) expect((await at.blob(digest)).status).toBe(502);
    expect(await at.circuits()).toEqual([0, 0, 1]);
    for (const i of [0, 1]) expect((await at.get(i)).headers.get("cache-status")).toContain("miss");
    const status = await (await at.cache.getAdmin("/api/v1/status")).text();
    expect(status).toContain(
      `requests for blobs fail: ${at.name} cannot be reached: ${storage.address} refuses`,
    );
  },
  30_000,
);

test.concurrent(
  "a mirror that hangs delays one pull by less than 15 s, and the next one hardly",
  async () => {
    await using at = await setUp();
    at.first.respond(() => faults.neverResponds);
    const startedAt = performance.now();
    expect((await at.get(0)).status).toBe(200);
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    const restartedAt = performance.now();
    expect((await at.get(1)).status).toBe(200);
    expect(performance.now() - restartedAt).toBeLessThan(2000);
  },
  30_000,
);

test.concurrent("two mirrors on one host have separate metrics", async () => {
  await using upstream = await startScriptedUpstream();
  const mirrors = ["/one", "/two"].map((path) => localUpstream(`${upstream.url}${path}`));
  using added = await shared.add({ ...localUpstream(upstream.url), mirrors });
  const metrics = await (await added.cache.getAdmin("/metrics")).text();
  const circuits = metrics.match(/^entrepot_upstream_circuit_open.*$/gm) ?? [];
  expect(circuits.filter((line) => line.includes(`"${added.name}"`))).toEqual(
    [`${upstream.url}/one`, `${upstream.url}/two`, upstream.url].map(
      (host) => `entrepot_upstream_circuit_open{upstream="${added.name}",host="${host}"} 0`,
    ),
  );
});
