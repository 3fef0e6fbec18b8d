import { expect, test } from "bun:test";
import { randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
import * as faults from "./harness/faults/faults.ts";
import { type Image, textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { storedBlobs } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

const shared = new SharedCache();

async function startUpstream() {
  const upstream = await startScriptedUpstream();
  const image = textImage({ text: `policy of ${upstream.url}` });
  for (const name of ["team/app", "team/secret", "other/app"])
    upstream.add(name, image, "1", "v1.2.3");
  return { upstream, image };
}

/** A registry with a policy in the cache that tests share. */
async function setUp(policy: object) {
  const { upstream, image } = await startUpstream();
  const added = await shared.add({ ...localUpstream(upstream.url), ...policy });
  return {
    upstream,
    image,
    name: added.name,
    get: (path: string) => added.cache.get(added.path(path)),
    head: (path: string, init: { headers: Record<string, string> }) =>
      added.cache.head(added.path(path), init),
    async [Symbol.asyncDispose]() {
      added[Symbol.dispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

/** A registry with a policy in a cache of its own, for what is said of the whole cache. */
async function setUpAlone(policy: object) {
  const { upstream, image } = await startUpstream();
  const config = { upstreams: { "reg.test": { ...localUpstream(upstream.url), ...policy } } };
  const cache = await startEntrepot({ config });
  const get = (path: string) => cache.get(`/v2/${path}?ns=reg.test`);
  return {
    upstream,
    image,
    cache,
    get,
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

const allPaths = (image: Image): string[] => [
  "manifests/1",
  `manifests/${image.manifest.digest}`,
  ...image.blobs.map(({ digest }) => `blobs/${digest}`),
  "tags/list",
  `referrers/${image.manifest.digest}`,
];

test("allow and deny apply to tags, digests and lists, including cached content", async () => {
  await using at = await setUp({ allow: ["team/**"], deny: ["*/secret"] });
  for (const path of allPaths(at.image)) {
    expect([path, (await at.get(`team/app/${path}`)).status]).toEqual([path, 200]);
  }
  at.upstream.forget();
  for (const name of ["team/secret", "other/app"]) {
    for (const path of allPaths(at.image)) {
      const response = await at.get(`${name}/${path}`);
      const body = await response.text();
      expect([path, response.status]).toEqual([path, 403]);
      expect(body).toContain(`does not allow ${name} of ${at.name}`);
    }
  }
  expect(at.upstream.requests()).toEqual([]);
});

test("patterns with many ways to match hold up neither a pull nor the admin port", async () => {
  await using at = await setUpAlone({ deny: ["*-*-*-*-*x"] });
  const name = `a${"-".repeat(253)}a`;
  at.upstream.add(name, at.image, "1");
  // A guard only: with regular expressions these took eight seconds, and more than ten minutes.
  const signal = AbortSignal.timeout(5000);
  const path = `/v2/${name}/manifests/1?ns=reg.test`;
  expect((await at.cache.get(path, { signal })).status).toBe(200);
  const images = `/api/v1/images?pattern=${"*-".repeat(6)}*b`;
  expect(await (await at.cache.getAdmin(images, { signal })).json()).toEqual({
    items: [],
    storing: 0,
  });
});

test("the catalog omits denied repositories from its list and its Link header", async () => {
  await using at = await setUpAlone({});
  for (const name of ["team/app", "team/secret", "other/app"]) await at.get(`${name}/manifests/1`);
  const upstream = localUpstream(at.upstream.url);
  const deny = ["team/app", "team/secret"];
  await at.cache.reconfigure({ upstreams: { "reg.test": { ...upstream, deny } } });
  await at.cache.logged("configuration changed");
  const all = await at.get("_catalog");
  expect(await all.json()).toEqual({ repositories: ["other/app"] });
  const page = await at.cache.get("/v2/_catalog?ns=reg.test&n=1");
  expect([await page.json(), page.headers.get("link")]).toEqual([
    { repositories: ["other/app"] },
    null,
  ]);
  await at.cache.reconfigure({ upstreams: { "reg.test": { ...upstream, deny: ["other/**"] } } });
  await until(async () => (await at.get("team/app/manifests/1")).status === 200, {
    what: "team/app to be served",
  });
  const first = await at.cache.get("/v2/_catalog?ns=reg.test&n=1");
  expect(await first.json()).toEqual({ repositories: ["team/app"] });
  const link = first.headers.get("link") ?? "";
  expect(link).toContain("last=team%2Fapp");
  const second = await at.cache.get(/<([^>]+)>/.exec(link)?.[1] ?? "");
  expect([await second.json(), second.headers.get("link")]).toEqual([
    { repositories: ["team/secret"] },
    null,
  ]);
});

test("a HEAD of a bypassed manifest is a HEAD upstream, and a GET only if HEAD is not supported", async () => {
  await using at = await setUp({ bypass: ["team/*"] });
  const { digest, size, mediaType } = at.image.manifest;
  const head = (reference: string, headers: Record<string, string> = {}) =>
    at.head(`team/app/manifests/${reference}`, { headers });
  for (const reference of ["1", digest]) {
    const response = await head(reference);
    expect([response.status, Object.fromEntries(response.headers)]).toEqual([
      200,
      expect.objectContaining({
        "cache-status": "entrepot; fwd=bypass",
        "content-length": String(size),
        "content-type": mediaType,
        "docker-content-digest": digest,
      }),
    ]);
  }
  const other = "application/vnd.oci.image.index.v1+json";
  expect((await head("1", { accept: other })).status).toBe(404);
  expect(new Set(at.upstream.requests().map(({ method }) => method))).toEqual(new Set(["HEAD"]));
  // Where HEAD fails, a GET decides.
  expect((await head("missing")).status).toBe(404);
  at.upstream.respond(({ method }) => (method === "HEAD" ? faults.errorResponse(405) : undefined));
  expect((await head("1")).headers.get("docker-content-digest")).toBe(digest);
});

test("bypassed content is fetched for each request and never stored", async () => {
  await using at = await setUpAlone({ bypass: ["team/*"], tagTtl: "1h" });
  const large = randomContent(10 * MIB, 9);
  at.upstream.addBlob("team/app", large);
  for (let turn = 1; turn <= 2; turn += 1) {
    for (const path of allPaths(at.image)) {
      const response = await at.get(`team/app/${path}`);
      expect([path, response.status]).toEqual([path, 200]);
      expect(response.headers.get("cache-status")).toBe("entrepot; fwd=bypass");
      await response.bytes();
    }
    at.upstream.respond(({ nth }) => (nth % 2 ? faults.cutAfter(4 * MIB) : undefined));
    const bytes = await (await at.get(`team/app/blobs/${large.digest}`)).bytes();
    expect(`sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`).toBe(
      large.digest,
    );
    at.upstream.respond();
  }
  const part = await at.cache.get(`/v2/team/app/blobs/${large.digest}?ns=reg.test`, {
    headers: { range: "bytes=1000-1999" },
  });
  expect([part.status, (await part.bytes()).length]).toEqual([206, 1000]);
  expect(await storedBlobs(at.cache.data)).toEqual([]);
  expect(at.upstream.requests({ method: "GET", kind: "manifest", reference: "1" }).length).toBe(2);
}, 30_000);

test("bypassed content is verified", async () => {
  await using at = await setUp({ bypass: ["**"] });
  const manifest = at.image.manifest.digest;
  at.upstream.respond(() => ({ flipBitAt: 20 }));
  expect((await at.get(`team/app/manifests/${manifest}`)).status).toBe(502);
});

test("an immutable tag is not revalidated", async () => {
  await using at = await setUp({ tagTtl: "0s", immutableTags: ["v*.*.*"] });
  await at.get("team/app/manifests/v1.2.3");
  await at.get("team/app/manifests/1");
  at.upstream.forget();
  await at.get("team/app/manifests/v1.2.3");
  expect(at.upstream.requests()).toEqual([]);
  await at.get("team/app/manifests/1");
  expect(at.upstream.requests().length).toBe(1);
});

test("staleFor limits how long a stale tag is served while its registry is down", async () => {
  await using at = await setUp({ tagTtl: "0s", staleFor: "2s" });
  await at.get("team/app/manifests/1");
  await at.upstream.stop();
  const startedAt = performance.now();
  const stale = await at.get("team/app/manifests/1");
  if (performance.now() - startedAt < 1500) expect(stale.status).toBe(200);
  await until(async () => (await at.get("team/app/manifests/1")).status === 502, {
    what: "the tag to exceed staleFor",
  });
  // A manifest requested by digest cannot be stale.
  expect((await at.get(`team/app/manifests/${at.image.manifest.digest}`)).status).toBe(200);
});
