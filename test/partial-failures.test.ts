import { describe, expect, test } from "bun:test";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { localUpstream } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { type Rule, startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const OCI_INDEX = "application/vnd.oci.image.index.v1+json";
const descriptor = {
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  digest: randomContent(10, 99).digest,
  size: 10,
};
const MIB = 1024 * 1024;

const shared = new SharedCache();

async function setUp({ tagTtl = "0s", rule }: { tagTtl?: string; rule?: Rule } = {}) {
  const upstream = await startScriptedUpstream();
  const images = Array.from({ length: 6 }, (_, i) =>
    textImage({ text: `image ${i} of ${upstream.address}` }),
  );
  for (const [i, image] of images.entries()) upstream.add("good/app", image, String(i));
  upstream.respond(rule);
  const added = await shared.add({ ...localUpstream(upstream.url), tagTtl });
  const { cache } = added;
  return {
    upstream,
    images,
    get: (path: string, method = "GET") => cache.get(added.path(path), { method }),
    status: async (path: string, method = "GET") => {
      const response = await cache.get(added.path(path), { method });
      await response.bytes();
      return response.status;
    },
    async [Symbol.asyncDispose]() {
      added[Symbol.dispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

const digests = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => randomContent(10, seed).digest);
const isAmong = (reference: string) => digests.some((digest) => digest === reference);

describe("what fails takes nothing else away:", () => {
  const failing = faults.errorResponse(500);
  const cases: [string, Rule, string, (digest: string, i: number) => string][] = [
    [
      "/referrers/ that answers 500",
      ({ kind }) => (kind === "referrers" ? failing : undefined),
      "GET",
      (digest) => `good/app/referrers/${digest}`,
    ],
    [
      "/referrers/ that closes the connection",
      ({ kind }) => (kind === "referrers" ? { hangUp: "reset" } : undefined),
      "GET",
      (digest) => `good/app/referrers/${digest}`,
    ],
    [
      "/referrers/ that answers 429",
      ({ kind }) => (kind === "referrers" ? faults.tooManyRequests("60") : undefined),
      "GET",
      (digest) => `good/app/referrers/${digest}`,
    ],
    [
      "/referrers/ that redirects to a host that is down",
      ({ kind }) => (kind === "referrers" ? faults.redirect("http://127.0.0.1:1/") : undefined),
      "GET",
      (digest) => `good/app/referrers/${digest}`,
    ],
    [
      "tags/list that answers 503",
      ({ kind }) => (kind === "tags" ? faults.errorResponse(503) : undefined),
      "GET",
      (_, i) => `good/app${i}/tags/list`,
    ],
    [
      "a broken repository",
      ({ repository }) => (repository === "broken" ? failing : undefined),
      "GET",
      (digest) => `broken/manifests/${digest}`,
    ],
    [
      "HEAD that is answered with 500",
      ({ method }) => (method === "HEAD" ? failing : undefined),
      "HEAD",
      (_, i) => `other${i}/manifests/latest`,
    ],
    [
      "blobs that answer 500",
      ({ kind, reference }) => (kind === "blob" && isAmong(reference) ? failing : undefined),
      "GET",
      (digest) => `good/app/blobs/${digest}`,
    ],
    [
      "a blob storage that is down",
      ({ kind, reference }) =>
        kind === "blob" && isAmong(reference)
          ? faults.redirect("http://127.0.0.1:1/x?signature=1")
          : undefined,
      "GET",
      (digest) => `good/app/blobs/${digest}`,
    ],
  ];
  test.concurrent.each(cases)("%s", async (_, rule, method, path) => {
    await using at = await setUp({ rule });
    expect(await at.status("good/app/manifests/0")).toBe(200);
    // In parallel and in turn: both have opened circuits.
    const all = (from: number) =>
      Promise.all(digests.map((digest, i) => at.status(path(digest, i + from), method)));
    await all(0);
    for (const [i, digest] of digests.entries()) await at.status(path(digest, i + 10), method);
    await all(20);
    for (const [i, { blobs }] of at.images.entries()) {
      expect(await at.status(`good/app/manifests/${i}`)).toBe(200);
      for (const { digest } of blobs) expect(await at.status(`good/app/blobs/${digest}`)).toBe(200);
    }
    if (method === "HEAD") return;
    const known = await at.get("good/app/manifests/0");
    expect(known.headers.get("cache-status")).toBe(
      "entrepot; fwd=stale; fwd-status=200; detail=revalidated",
    );
  });
});

test.concurrent.each([405, 501])("HEAD that is answered with %d is no failure", async (status) => {
  await using at = await setUp({
    rule: ({ method }) => (method === "HEAD" ? faults.errorResponse(status) : undefined),
  });
  const heads = at.images.map((_, i) => at.status(`good/app/manifests/${i}`, "HEAD"));
  expect(new Set(await Promise.all(heads))).toEqual(new Set([200]));
});

test.concurrent(
  "an endpoint that hangs takes nothing else away",
  async () => {
    await using at = await setUp({
      rule: ({ kind }) => (kind === "referrers" ? faults.neverResponds : undefined),
    });
    expect(await at.status("good/app/manifests/0")).toBe(200);
    // More than may be under way to one upstream.
    const seeds = Array.from({ length: 60 }, (_, i) => i + 100);
    let failed = 0;
    for (const seed of seeds) {
      const count = (): number => (failed += 1);
      at.status(`good/app/referrers/${randomContent(10, seed).digest}`).then(count, count);
    }
    await until(() => at.upstream.requests({ kind: "referrers" }).length > 10, {
      what: "requests",
    });
    const startedAt = performance.now();
    expect(await at.status("good/app/manifests/1")).toBe(200);
    expect(performance.now() - startedAt).toBeLessThan(2000);
    // Enough to open a circuit, by timeouts alone.
    await until(() => failed >= 4, { what: "timeouts", within: 20_000 });
    expect(await at.status("good/app/manifests/2")).toBe(200);
  },
  60_000,
);

test.concurrent(
  "an upstream that cuts every transfer short is resumed without pauses",
  async () => {
    await using at = await setUp({
      rule: ({ kind }) => (kind === "blob" ? faults.cutAfter(1_000_000) : undefined),
    });
    // The cache reads ahead of its clients only as far as needed: unread bytes of a closed connection are lost.
    const blob = randomContent(8 * MIB, 20);
    at.upstream.addBlob("good/app", blob);
    const startedAt = performance.now();
    const response = await at.get(`good/app/blobs/${blob.digest}`);
    expect(await response.bytes()).toEqual(bytesOf(blob));
    expect(performance.now() - startedAt).toBeLessThan(4000);
  },
  60_000,
);

test.concurrent(
  "an upstream that refused connections for a while is used again within 2 s of its return",
  async () => {
    await using at = await setUp();
    expect(await at.status("good/app/manifests/0")).toBe(200);
    await at.upstream.stop();
    const stoppedAt = performance.now();
    // Nodes keep asking, for long enough that a cool-down would have grown.
    while (performance.now() - stoppedAt < 6000) {
      expect(await at.status("good/app/manifests/1")).toBe(502);
      expect(await at.status("good/app/manifests/0")).toBe(200);
    }
    at.upstream.forget();
    await at.upstream.start();
    const startedAt = performance.now();
    await until(async () => (await at.status("good/app/manifests/1")) === 200, {
      what: "a new image",
    });
    expect(performance.now() - startedAt).toBeLessThan(2000);
    expect(at.upstream.requests({ kind: "ping" }).length).toBeLessThan(3);
  },
  30_000,
);

describe("an answer that something is missing", () => {
  const signature = textImage({ text: "signature" });

  test.concurrent.each(["GET", "HEAD"])(
    "to %s is not remembered with tagTtl: 0",
    async (method) => {
      await using at = await setUp();
      for (const path of ["manifests/new", `manifests/${signature.manifest.digest}`]) {
        expect(await at.status(`good/app/${path}`, method)).toBe(404);
      }
      at.upstream.add("good/app", signature, "new");
      for (const path of ["manifests/new", `manifests/${signature.manifest.digest}`]) {
        expect(await at.status(`good/app/${path}`, method)).toBe(200);
      }
    },
  );

  test.concurrent("to HEAD is not the answer to a GET", async () => {
    await using at = await setUp({ tagTtl: "1h" });
    const [layer] = signature.blobs;
    const paths = [
      "manifests/new",
      `manifests/${signature.manifest.digest}`,
      `blobs/${layer?.digest}`,
    ];
    for (const path of paths) expect(await at.status(`good/app/${path}`, "HEAD")).toBe(404);
    at.upstream.add("good/app", signature, "new");
    for (const path of paths) expect(await at.status(`good/app/${path}`)).toBe(200);
  });

  test.concurrent.each([200, 404])(
    "is no list of referrers to be remembered, where the API answers %d",
    async (api) => {
      const lacksApi: Rule = ({ kind }) =>
        kind === "referrers" ? faults.errorResponse(404) : undefined;
      await using at = await setUp({
        tagTtl: "1h",
        rule: api === 404 ? lacksApi : () => undefined,
      });
      const digest = at.images[0]?.manifest.digest ?? "";
      expect(await at.status("good/app/manifests/0")).toBe(200);
      const fallback = `good/app/manifests/${digest.replace(":", "-")}`;
      expect(await at.status(fallback)).toBe(404);
      const referrers = async () => (await at.get(`good/app/referrers/${digest}`)).text();
      expect(await referrers()).toContain('"manifests":[]');
      const index = {
        headers: { "Content-Type": OCI_INDEX, "Docker-Content-Digest": undefined },
        body: JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [descriptor] }),
        status: 200,
      };
      at.upstream.respond((request) => {
        if (api === 404 && request.path.endsWith(digest.replace(":", "-"))) return index;
        return request.kind === "referrers" && api === 200 ? index : lacksApi(request);
      });
      expect(await referrers()).toContain(descriptor.digest);
    },
  );

  test.concurrent("about referrers is no answer while the upstream is down", async () => {
    await using at = await setUp({ tagTtl: "1h" });
    const [image] = at.images;
    expect(await at.status("good/app/manifests/0")).toBe(200);
    const path = `good/app/referrers/${image?.manifest.digest}`;
    expect(await at.status(path)).toBe(200);
    await at.upstream.stop();
    expect(await at.status(path)).toBe(502);
  });
});
