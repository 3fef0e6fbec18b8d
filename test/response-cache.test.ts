import { expect, test } from "bun:test";
import { connect } from "node:net";
import { digestOf } from "../src/oci/digest.ts";
import { OCI_INDEX } from "../src/oci/media-types.ts";
import { command } from "./harness/cache/commands.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const shared = new SharedCache();

async function startUpstream() {
  const upstream = await startScriptedUpstream();
  const image = textImage({ text: `cached from ${upstream.url}` });
  upstream.add("app", image, "1");
  return { upstream, image, base: { ...localUpstream(upstream.url), tagTtl: "1h" } };
}

/** Pulls a manifest, by tag and digest, and a blob three times each: then the response cache holds them. */
async function pullOften({ upstream, image }: Awaited<ReturnType<typeof startUpstream>>, get: Get) {
  const [blob] = image.blobs;
  if (!blob) throw new Error("the image has no blob");
  const paths = ["manifests/1", `manifests/${image.manifest.digest}`, `blobs/${blob.digest}`];
  for (const path of [...paths, ...paths, ...paths]) {
    const response = await get(path);
    await response.bytes();
    expect([path, response.status]).toEqual([path, 200]);
  }
  upstream.forget();
  return { blob, paths };
}

type Get = (path: string, headers?: Record<string, string>) => Promise<Response>;

/** A registry of the cache that tests share. */
async function setUp(settings: object = {}) {
  const started = await startUpstream();
  const { upstream } = started;
  const added = await shared.add({ ...started.base, ...settings });
  const { cache, name } = added;
  const get: Get = (path, headers = {}) => cache.get(added.path(`app/${path}`), { headers });
  return {
    upstream,
    cache,
    name,
    get,
    ...(await pullOften(started, get)),
    async [Symbol.asyncDispose]() {
      added[Symbol.dispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

async function statusOf(cache: Entrepot, target: string): Promise<string> {
  const [host = "", port = ""] = cache.address.split(":");
  const socket = connect(Number(port), host);
  socket.write(`GET ${target} HTTP/1.1\r\nHost: ${cache.address}\r\nConnection: close\r\n\r\n`);
  let text = "";
  for await (const chunk of socket.setEncoding("latin1")) text += String(chunk);
  return text.slice("HTTP/1.1 ".length, "HTTP/1.1 200".length);
}

function headersWithoutDate({ headers }: Response): [string, string][] {
  return [...headers].filter(([name]) => name !== "date");
}

test("a cached response is identical to the first, and each one is logged and counted", async () => {
  await using at = await setUp();
  const counter = `entrepot_cache_requests_total{upstream="${at.name}",kind="blob",result="hit"} `;
  const count = async (): Promise<number> => {
    const metrics = await (await at.cache.getAdmin("/metrics")).text();
    return Number(metrics.split(`\n${counter}`)[1]?.split("\n")[0]);
  };
  const path = at.paths[2] ?? "";
  const [before, first] = [await count(), await at.get(path)];
  expect(before).toBeGreaterThan(0);
  for (let turn = 0; turn < 5; turn += 1) {
    const response = await at.get(path, { "user-agent": `turn/${turn}` });
    expect(headersWithoutDate(response)).toEqual(headersWithoutDate(first));
    expect(digestOf(await response.bytes())).toBe(at.blob.digest);
  }
  const loggedCount = (): number =>
    at.cache.logs().filter(({ agent }) => String(agent).startsWith("turn/")).length;
  await until(() => loggedCount() === 5, { what: "a log line for each response" });
  expect(await count()).toBe(before + 6);
  expect(at.upstream.requests()).toEqual([]);
});

test("requests with other methods, headers or paths do not get the cached response", async () => {
  await using at = await setUp();
  const [tag = "", , blob = ""] = at.paths;
  const etag = `"${at.blob.digest}"`;
  expect((await at.get(blob, { range: "bytes=1-2" })).status).toBe(206);
  expect((await at.get(blob, { "if-none-match": etag })).status).toBe(304);
  expect((await at.get(tag, { accept: OCI_INDEX })).status).toBe(404);
  const head = await at.cache.head(`/v2/app/${blob}?ns=${at.name}`);
  expect([head.status, await head.text()]).toEqual([200, ""]);
  for (const target of [`/v2/./app\\${blob}`, `/v2/x/../app/${blob}`, `/v2/%2e/app/${blob}`]) {
    expect([target, await statusOf(at.cache, `${target}?ns=${at.name}`)]).toEqual([target, "400"]);
  }
});

test("a stale tag is revalidated, and its new manifest is served", async () => {
  await using at = await setUp({ tagTtl: "1s" });
  const moved = textImage({ text: "moved" });
  at.upstream.add("app", moved, "1");
  await until(
    async () => {
      const response = await at.get("manifests/1");
      return response.headers.get("docker-content-digest") === moved.manifest.digest;
    },
    { what: "the image to which the tag moved" },
  );
});

test("a purge and a changed deny list take effect despite cached responses", async () => {
  const started = await startUpstream();
  const { base } = started;
  await using upstream = started.upstream;
  await using cache = await startEntrepot({ config: { upstreams: { "reg.test": base } } });
  const get: Get = (path, headers = {}) => cache.get(`/v2/app/${path}?ns=reg.test`, { headers });
  const { paths } = await pullOften(started, get);
  expect((await command(cache, "purge", "reg.test/app:1")).code).toBe(0);
  for (const path of paths) expect((await get(path)).status).toBe(200);
  expect(upstream.requests({ method: "GET" }).length).toBeGreaterThanOrEqual(2);
  await cache.reconfigure({ upstreams: { "reg.test": { ...base, deny: ["app"] } } });
  await until(async () => (await get("manifests/1")).status === 403, { what: "the refusal" });
  for (const path of paths) expect((await get(path)).status).toBe(403);
});
