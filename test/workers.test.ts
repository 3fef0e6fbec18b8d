import { afterAll, beforeAll, expect, test } from "bun:test";
import { digestOf } from "../src/oci/digest.ts";
import { command } from "./harness/cache/commands.ts";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { metric } from "./harness/cache/metrics.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { failureOf, until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const HIT = "entrepot; hit";

/** Shared by all tests: each has a repository of its own. */
let upstream: ScriptedUpstream;
let cache: Entrepot;
let config: object;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  const base = { ...localUpstream(upstream.url), tagTtl: "1h" };
  config = { workers: 2, upstreams: { "reg.test": base } };
  cache = await startEntrepot({ config });
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

/** A request over a connection of its own, so that any worker may accept it. */
function get(path: string, init: BunFetchRequestInit = {}): Promise<Response> {
  return cache.get(`/v2/${path}?ns=reg.test`, { ...init, keepalive: false });
}

async function statusOf(path: string): Promise<number> {
  const response = await get(path);
  await response.bytes();
  return response.status;
}

async function hits(kind: string): Promise<number> {
  const name = `entrepot_cache_requests_total{upstream="reg.test",kind="${kind}",result="hit"}`;
  const lines = (await (await cache.getAdmin("/metrics")).text()).split("\n");
  return Number(
    lines
      .find((line) => line.startsWith(name))
      ?.split(" ")
      .at(-1) ?? 0,
  );
}

test("the threads are counted, and their port cannot be opened by another cache", async () => {
  expect(await metric(cache, "entrepot_workers")).toBe(2);
  const failed = startEntrepot({ config, listen: cache.address });
  expect(await failureOf(failed)).toContain(`Entrepot (process ${cache.pid}) listens there`);
});

test("each hit of every thread is counted, logged and shown to its client once, and at once", async () => {
  const image = textImage({ text: "counted" });
  upstream.add("counted", image, "1");
  const [blob] = image.blobs;
  if (!blob) throw new Error("the image has no blob");
  const paths = ["manifests/1", `manifests/${image.manifest.digest}`, `blobs/${blob.digest}`];
  for (const path of paths) {
    await until(async () => (await get(`counted/${path}`)).headers.get("cache-status") === HIT, {
      what: `a hit of ${path}`,
    });
  }
  const before = [await hits("manifest"), await hits("blob")];
  const agent = { headers: { "user-agent": "counting/1" } };
  const all = paths.flatMap((path) => Array.from({ length: 12 }, () => path));
  const responses = await Promise.all(all.map((path) => get(`counted/${path}`, agent)));
  const digests = await Promise.all(responses.map(async (each) => digestOf(await each.bytes())));
  expect(new Set(digests)).toEqual(new Set([image.manifest.digest, blob.digest]));
  const text = await (await cache.get("/entrepot/v1/served?since=0")).text();
  const count = (path: string) => text.split(`"reference":"${path.split("/")[1]}"`).length - 1;
  // The first ones too: the list has room for 64.
  for (const path of paths) expect([path, count(path) > 12]).toEqual([path, true]);
  expect([await hits("manifest"), await hits("blob")]).toEqual([
    Number(before[0]) + 24,
    Number(before[1]) + 12,
  ]);
  const lines = () => cache.logs().filter((line) => line["agent"] === "counting/1");
  await until(() => lines().length === 36, { what: "a log line for each" });
  expect(lines().filter((line) => line["cache"] !== "hit" || line["status"] !== 200)).toEqual([]);
});

test("what is purged, refused by a policy or moved is so for every thread at once", async () => {
  const image = textImage({ text: "purged" });
  upstream.add("purged", image, "1");
  const path = "purged/manifests/1";
  for (let turn = 0; turn < 12; turn += 1) expect(await statusOf(path)).toBe(200);
  upstream.tag("purged", "1", undefined);
  upstream.remove("purged", image.manifest.digest);
  expect((await command(cache, "purge", "reg.test/purged:1")).code).toBe(0);
  const purged = Array.from({ length: 12 }, () => statusOf(path));
  expect(new Set(await Promise.all(purged))).toEqual(new Set([404]));

  upstream.add("denied", image, "1");
  const denied = "denied/manifests/1";
  for (let turn = 0; turn < 12; turn += 1) expect(await statusOf(denied)).toBe(200);
  const base = { ...localUpstream(upstream.url), tagTtl: "1h" };
  await cache.reconfigure({ workers: 2, upstreams: { "reg.test": { ...base, deny: ["denied"] } } });
  await cache.logged("configuration changed");
  const refused = Array.from({ length: 12 }, () => statusOf(denied));
  expect(new Set(await Promise.all(refused))).toEqual(new Set([403]));
});

test("a client that leaves a download is noticed, and the download goes on for the next one", async () => {
  const blob = randomContent(8 * MIB, 2);
  upstream.addBlob("left", blob);
  upstream.respond(({ path }) =>
    path.includes(blob.digest) ? faults.stallAfter(4 * MIB) : undefined,
  );
  const path = `left/blobs/${blob.digest}`;
  const client = new AbortController();
  const response = await get(path, { signal: client.signal, headers: { "user-agent": "left/1" } });
  const reader = response.body?.getReader();
  await reader?.read();
  client.abort();
  const line = await until(() => cache.logs().find(({ agent }) => agent === "left/1"), {
    what: "the log line",
  });
  expect(Number(line["bytes"])).toBeLessThan(blob.size);
  upstream.respond();
  upstream.release();
  expect(await (await get(path)).bytes()).toEqual(bytesOf(blob));
});

test("a response in progress is completed before the cache ends", async () => {
  const blob = randomContent(8 * MIB, 3);
  upstream.addBlob("last", blob);
  upstream.respond(({ path }) =>
    path.includes(blob.digest) ? faults.stallAfter(4 * MIB) : undefined,
  );
  const response = await get(`last/blobs/${blob.digest}`);
  const exit = cache.stop();
  await cache.logged(
    "stopping: waiting for requests and downloads in progress; a second signal stops at once",
  );
  expect(await failureOf(get("last/manifests/1"))).toContain("connect");
  upstream.respond();
  upstream.release();
  expect(await response.bytes()).toEqual(bytesOf(blob));
  expect(await exit).toBe(0);
});
