import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { layersOf, textImage } from "./harness/images/images.ts";
import {
  basicOf,
  type PrivateRegistry,
  startPrivateRegistry,
} from "./harness/registries/private-registry.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const [ADMIN, READ] = ["an-admin-token-of-the-test", "a-read-token-of-the-test-x"];
const PRIVATE = "reg.test/team/hush:1";
const OPEN = "reg.test/open/app:1";

let dir: TempDir;
let registry: PrivateRegistry;
let cache: Entrepot;

async function ask(path: string, token: string, init: BunFetchRequestInit = {}) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const response = await cache.getAdmin(path, { headers, ...init });
  return { status: response.status, text: await response.text() };
}

const json = async (path: string, token: string) =>
  JSON.parse((await ask(`/api/v1${path}`, token)).text);

beforeAll(async () => {
  dir = await tempDir("read-token");
  registry = await startPrivateRegistry();
  // The same layers in both, so that the details of one could name the other.
  const image = textImage({ text: "shared by both" });
  for (const name of ["team/hush", "open/app"]) registry.upstream.add(name, image, "1");
  registry.publish("open/app");
  registry.grant("ann", "team/hush");
  await writeFile(dir.file("admin"), ADMIN);
  await writeFile(dir.file("read"), READ);
  cache = await startEntrepot({
    config: {
      adminTokenFile: dir.file("admin"),
      readTokenFile: dir.file("read"),
      storage: { scrub: 0 },
      warm: { "a-list": { images: [PRIVATE, OPEN], schedule: "0 3 * * *" } },
      readiness: { pulledWithin: "1d" },
      upstreams: {
        "reg.test": {
          ...localUpstream(registry.upstream.url),
          access: [{ repositories: ["team/**", "open/**"], access: "upstream" }],
          deny: ["team/hush-hush"],
        },
      },
    },
  });
  const layer = layersOf(image)[0]?.digest;
  for (const name of ["team/hush", "open/app"]) {
    for (const rest of ["manifests/1", `blobs/${layer}`, "tags/list"]) {
      const headers = { authorization: basicOf("ann") };
      const response = await cache.get(`/v2/${name}/${rest}?ns=reg.test`, { headers });
      expect([name, rest, response.status]).toEqual([name, rest, 200]);
      await response.bytes();
    }
  }
  await until(async () => (await json("/images", ADMIN)).items.length === 2, {
    what: "both images are listed",
  });
  const pin = await ask("/api/v1/pins", ADMIN, {
    method: "PUT",
    body: JSON.stringify({ pattern: PRIVATE }),
  });
  expect(pin.status).toBeLessThan(500);
  for (const order of [
    { kind: "hold", image: PRIVATE, reason: "team/hush is secret" },
    { kind: "freeze", pattern: "reg.test/*", asOf: 1, reason: "for a test" },
  ]) {
    const ordered = await ask("/api/v1/overrides", ADMIN, {
      method: "POST",
      body: JSON.stringify(order),
    });
    expect([ordered.status, ordered.text]).toEqual([
      200,
      expect.stringContaining("the admin token"),
    ]);
  }
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

test("no operation tells a read token of a private repository, and the admin token is told of all", async () => {
  const document = await json("/openapi.json", READ);
  const image = encodeURIComponent(OPEN);
  const paths: string[] = Object.entries<Record<string, unknown>>(document.paths)
    .filter(([path, methods]) => "get" in methods && !path.includes("events"))
    .map(([path]) => path.replace("/images/{name}", `/images/${image}`))
    .filter((path) => !path.includes("{") && path !== "/openapi.json")
    .map((path) => (/image-clients|tag-history/.test(path) ? `${path}?image=${image}` : path));
  expect(paths.length).toBeGreaterThan(15);
  const pages = ["", "images", `images/${image}`, "readiness", "history", "jobs", "settings"];
  const told: string[] = [];
  for (const path of [
    ...paths.map((it) => `/api/v1${it}`),
    ...pages.map((it) => `/${it}`),
    "/metrics",
  ]) {
    const read = await ask(path, READ);
    expect([path, read.text.includes("hush")]).toEqual([path, false]);
    expect([path, read.status < 500]).toEqual([path, true]);
    if ((await ask(path, ADMIN)).text.includes("team/hush")) told.push(path);
  }
  // What tells nothing to anybody proves nothing.
  for (const path of [
    "/api/v1/images",
    "/api/v1/pulls",
    "/api/v1/overrides",
    "/api/v1/overview",
    "/api/v1/readiness",
    "/api/v1/warm",
    "/api/v1/configuration",
    `/api/v1/images/${image}`,
  ]) {
    expect(told).toContain(path);
  }
  const { items, hidden } = await json("/images", READ);
  expect([items.length, items[0].image, hidden]).toEqual([1, "reg.test/open/app", 1]);
  expect((await json("/pulls", READ)).hidden).toBe(1);
  expect((await ask("/images", READ)).text).toContain("1 private image is not shown");
});

test("what is asked for by its name is answered as if it were not there, and no count tells of it", async () => {
  const [hush, missing] = ["reg.test/team/hush:1", "reg.test/team/none:1"].map(encodeURIComponent);
  const shape = async (path: string, name: string) => {
    const { status, text } = await ask(`/api/v1${path}${name}`, READ);
    return { status, text: text.replaceAll(/hush|none/g, "NAME").replaceAll(/"id":"[^"]*"/g, "") };
  };
  for (const path of [
    "/images/",
    "/image-clients?image=",
    "/tag-history?image=",
    "/purge?pattern=",
  ]) {
    expect(await shape(path, hush ?? "")).toEqual(await shape(path, missing ?? ""));
  }
  for (const query of ["search=hush", "search=nothing-like-it", "pattern=reg.test%2Fteam%2F*"]) {
    const { items, hidden, next } = await json(`/images?limit=1&${query}`, READ);
    expect([query, items.length, hidden, next]).toEqual([query, 0, 1, undefined]);
  }
  const question = (...images: string[]) => ({
    method: "POST",
    body: JSON.stringify({ images }),
  });
  const refused = await ask("/api/v1/readiness", READ, question(OPEN, PRIVATE));
  expect([refused.status, refused.text.includes("hush")]).toEqual([403, false]);
  expect((await ask("/api/v1/readiness", READ, question(OPEN))).status).toBe(200);
  expect((await ask("/api/v1/readiness", ADMIN, question(PRIVATE))).status).toBe(200);
});

test("events tell of no private pull, and of others", async () => {
  const aborting = new AbortController();
  const read = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` };
    const { signal } = aborting;
    const response = await cache.getAdmin("/api/v1/events", { headers, signal });
    return { text: "", body: response.body };
  };
  const streams = [await read(READ), await read(ADMIN)];
  const reading = streams.map(async (stream) => {
    for await (const bytes of stream.body ?? []) stream.text += new TextDecoder().decode(bytes);
  });
  for (const name of ["team/hush", "open/app"]) {
    const headers = { authorization: basicOf("ann") };
    const response = await cache.get(`/v2/${name}/tags/list?ns=reg.test`, { headers });
    await response.bytes();
    const manifest = await cache.get(`/v2/${name}/manifests/1?ns=reg.test`, { headers });
    await manifest.bytes();
  }
  const overviewsOf = (text: string): number => text.match(/^event: overview$/gm)?.length ?? 0;
  await until(
    () => streams.every(({ text }) => text.includes("open/app") && overviewsOf(text) > 0),
    {
      what: "events of the open image",
    },
  );
  await until(() => streams[1]?.text.includes("team/hush"), {
    what: "events of the private image",
  });
  expect(streams[0]?.text).not.toContain("hush");
  aborting.abort();
  await Promise.allSettled(reading);
});

test("what one client pulled of a private repository is not told to others at its address", async () => {
  const { served, refused } = (await (await cache.get("/entrepot/v1/served")).json()) as {
    served: { repository: string }[];
    refused: { repository: string }[];
  };
  expect(new Set(served.map(({ repository }) => repository))).toEqual(new Set(["open/app"]));
  expect(refused).toEqual([]);
});
