import { expect, test } from "bun:test";
import { jobOf, orderJob } from "./harness/cache/admin-jobs.ts";
import { randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

async function setUp(policy: object = {}) {
  const upstream = await startScriptedUpstream();
  const base = localUpstream(upstream.url);
  const configured = (more: object) => ({ upstreams: { "reg.test": { ...base, ...more } } });
  const cache = await startEntrepot({ config: configured(policy) });
  return {
    upstream,
    cache,
    configured,
    get: (path: string, init: BunFetchRequestInit = {}) =>
      cache.get(`/v2/${path}?ns=reg.test`, init),
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

test("a layer that was requested as a manifest can still be pulled as a blob at once", async () => {
  await using at = await setUp();
  const layer = randomContent(100_000, 1);
  at.upstream.addBlob("app", layer);
  expect((await at.get(`app/manifests/${layer.digest}`)).status).toBe(404);
  expect((await at.get(`app/blobs/${layer.digest}`)).status).toBe(200);
});

test("an image on a registry without HEAD is found and pulled", async () => {
  await using at = await setUp();
  at.upstream.add("app", textImage({ text: "no HEAD" }), "1");
  at.upstream.respond(({ method }) => (method === "HEAD" ? faults.errorResponse(405) : undefined));
  expect((await at.get("app/manifests/1", { method: "HEAD" })).status).toBe(200);
  expect((await at.get("app/manifests/1")).status).toBe(200);
});

test.each(["all of it", "a part"])(
  "a bypassed blob that gets 304 holds no upstream connection: %s",
  async (what) => {
    await using at = await setUp({ bypass: ["**"], maxConnections: 2 });
    const layer = randomContent(20 * MIB, 2);
    at.upstream.addBlob("app", layer);
    const headers: Record<string, string> = { "if-none-match": `"${layer.digest}"` };
    if (what === "a part") headers["range"] = "bytes=5-19000000";
    for (let turn = 0; turn < 3; turn += 1) {
      const got = await at.get(`app/blobs/${layer.digest}`, { headers });
      expect([turn, got.status]).toEqual([turn, 304]);
    }
    await until(() => at.upstream.requests().every(({ outcome }) => outcome !== "pending"), {
      what: "every transfer to end",
    });
  },
  30_000,
);

test("a changed quota of an upstream takes effect without a restart", async () => {
  await using at = await setUp();
  const layer = randomContent(2 * MIB, 3);
  at.upstream.addBlob("app", layer);
  await (await at.get(`app/blobs/${layer.digest}`)).bytes();
  await at.cache.reconfigure(at.configured({ maxSize: "1MiB" }));
  await at.cache.logged("configuration changed");
  const evicted = async () => {
    const { result } = jobOf(await orderJob(at.cache.adminAddress, "gc", {}));
    return result?.blobs === 1;
  };
  await until(evicted, { what: "the blob over the new quota to be evicted" });
});

test("an upstream with a port that is added without a restart is served by its name", async () => {
  await using at = await setUp();
  at.upstream.add("app", textImage({ text: "added" }), "1");
  const added = { ...localUpstream(at.upstream.url), port: 5999 };
  const { upstreams } = at.configured({});
  await at.cache.reconfigure({ upstreams: { ...upstreams, "new.test": added } });
  await at.cache.logged("configuration changed: restart required");
  expect((await at.cache.get("/v2/app/manifests/1?ns=new.test")).status).toBe(200);
});

test("the tag of an image that was purged and pulled again is in its sidecar file", async () => {
  await using at = await setUp();
  const image = textImage({ text: "purged" });
  at.upstream.add("app", image, "1");
  const name = image.manifest.digest.slice("sha256:".length);
  const sidecarFile = `${at.cache.data}/sidecars/sha256/${name.slice(0, 2)}/${name}.json`;
  await at.get("app/manifests/1");
  const purge = { pattern: "reg.test/app:1" };
  const purged = jobOf(await orderJob(at.cache.adminAddress, "purge", purge));
  expect(purged.state).toBe("done");
  expect(await Bun.file(sidecarFile).exists()).toBe(false);
  await at.get("app/manifests/1");
  // On a slow disk, the client does not wait for it.
  const hasTag = async () => (await Bun.file(sidecarFile).text()).includes(`"tags":{"1":`);
  await until(hasTag, { what: "the tag in the sidecar file" });
});

test("an unverified HEAD digest of an immutable tag is rechecked", async () => {
  await using at = await setUp({ tagTtl: "0s", immutableTags: ["v*"] });
  at.upstream.add("app", textImage({ text: "immutable" }), "v1");
  const other = faults.claims({ digest: `sha256:${"a".repeat(64)}` });
  at.upstream.respond(({ method }) => (method === "HEAD" ? other : undefined));
  await at.get("app/manifests/v1", { method: "HEAD" });
  at.upstream.respond();
  expect((await at.get("app/manifests/v1")).status).toBe(200);
});
