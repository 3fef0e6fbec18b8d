import { expect, test } from "bun:test";
import { randomContent } from "./harness/content.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import * as faults from "./harness/faults.ts";
import { textImage } from "./harness/images.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

async function started(policy: object = {}) {
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

test("a layer that is asked for as a manifest can still be pulled at once", async () => {
  await using at = await started();
  const layer = randomContent(100_000, 1);
  at.upstream.addBlob("app", layer);
  expect((await at.get(`app/manifests/${layer.digest}`)).status).toBe(404);
  expect((await at.get(`app/blobs/${layer.digest}`)).status).toBe(200);
});

test("an image of a registry without HEAD is found and pulled", async () => {
  await using at = await started();
  at.upstream.add("app", textImage({ text: "no HEAD" }), "1");
  at.upstream.respond(({ method }) => (method === "HEAD" ? faults.refuses(405) : undefined));
  expect((await at.get("app/manifests/1", { method: "HEAD" })).status).toBe(200);
  expect((await at.get("app/manifests/1")).status).toBe(200);
});
