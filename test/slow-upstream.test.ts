import { expect, test } from "bun:test";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";

const MIB = 1024 * 1024;

async function setUp() {
  const blob = randomContent(8 * MIB);
  const [mirror, registry] = await Promise.all([startScriptedUpstream(), startScriptedUpstream()]);
  for (const upstream of [mirror, registry]) upstream.addBlob("app", blob);
  const start = (...mirrors: { url: string }[]) =>
    startEntrepot({
      config: {
        upstreams: {
          "reg.test": {
            ...localUpstream(registry.url),
            mirrors: mirrors.map(({ url }) => localUpstream(url)),
          },
        },
      },
    });
  return {
    blob,
    path: `/v2/app/blobs/${blob.digest}?ns=reg.test`,
    mirror,
    registry,
    start,
    async [Symbol.asyncDispose]() {
      await mirror[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

test.concurrent(
  "a mirror that drips a layer is left for the registry",
  async () => {
    await using at = await setUp();
    at.mirror.respond(() => faults.slow(400));
    await using cache = await at.start(at.mirror);
    expect(await (await cache.get(at.path)).bytes()).toEqual(bytesOf(at.blob));
    expect(at.mirror.requests()).toHaveLength(1);
    expect(at.registry.requests().map(({ headers }) => headers.get("range"))).toEqual([
      expect.stringMatching(/^bytes=[1-9]\d*-/),
    ]);
    await until(async () => (await verifyStore(cache.data)).includes(at.blob.digest), {
      what: "the blob to be stored",
    });
  },
  90_000,
);

test.concurrent(
  "a registry that drips a layer gives its clients an end, and later the rest",
  async () => {
    await using at = await setUp();
    at.registry.respond(() => faults.slow(400));
    await using cache = await at.start();
    const clients = [0, 0, 0].map(() => cache.get(at.path));
    const received = await Promise.all(
      clients.map(async (response) => (await response).bytes().catch(() => "cut off")),
    );
    expect(received.map((one) => one.length < at.blob.size)).toEqual([true, true, true]);
    expect(at.registry.requests()).toHaveLength(1);
    const log = await cache.logged("download failed");
    expect(JSON.stringify(log)).toContain("did not send more than");
    // What it sent is kept.
    at.registry.respond();
    expect(await (await cache.get(at.path)).bytes()).toEqual(bytesOf(at.blob));
    expect(at.registry.requests().at(-1)?.headers.get("range")).toMatch(/^bytes=[1-9]\d*-/);
  },
  90_000,
);

test.concurrent(
  "a connection that stalls in mid-body is abandoned after some seconds, and the rest is fetched over another one",
  async () => {
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(20 * MIB);
    upstream.addBlob("app", blob);
    upstream.respond(({ nth }) => (nth === 1 ? faults.stallAfter(10 * MIB) : undefined));
    const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
    await using cache = await startEntrepot({ config });
    const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`);
    expect(response.status).toBe(200);
    expect(await response.bytes()).toEqual(bytesOf(blob));
    const [, second] = upstream.requests();
    expect(second?.headers.get("range")).toMatch(/^bytes=[1-9]\d*-/);
    expect(upstream.requests().length).toBe(2);
    const isStored = async () => (await storedBlobs(cache.data)).length === 1;
    await until(isStored, { what: "the blob to be stored" });
    expect(await verifyStore(cache.data)).toEqual([blob.digest]);
  },
  20_000,
);
