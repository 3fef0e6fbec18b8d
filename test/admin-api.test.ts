import { afterAll, beforeAll, expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { stringify } from "yaml";
import { jobSchema } from "../src/api/jobs.ts";
import { imagesSchema } from "../src/api/images.ts";
import { type RunningCache, runCache } from "../src/commands/serve/running-cache.ts";
import { loadSettings } from "../src/config/load.ts";
import { withTimeout } from "../src/cache/with-timeout.ts";
import { createLog } from "../src/telemetry/log.ts";
import { type Call, DescribedApi } from "./harness/cache/described-api.ts";
import { localUpstream } from "./harness/cache/entrepot.ts";
import { artifact, type Image, layersImage, multiPlatformImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

/** What each operation is called with. Reads without parameters are called as they are. */
const CALLS: Readonly<Record<string, readonly Call[]>> = {
  listImages: [
    {},
    { query: { sort: "size", limit: "2", search: "APP" } },
    { query: { cursor: "x" } },
  ],
  getImage: [
    { params: { name: "reg.test/app:1" } },
    { params: { name: "reg.test/many:latest" } },
    { params: { name: "reg.test/none:1" } },
    { params: { name: "::" } },
  ],
  getUpstream: [{ params: { name: "reg.test" } }, { params: { name: "other.test" } }],
  pin: [{ body: { pattern: "reg.test/app:2" } }, { body: { pattern: "-" } }, { body: {} }],
  unpin: [{ params: { pattern: "reg.test/app:2" } }, { params: { pattern: "reg.test/app:2" } }],
  previewPurge: [
    { query: { pattern: "reg.test/app:1" } },
    { query: { pattern: "reg.test/none:1" } },
    {},
  ],
  purge: [{ body: { pattern: "reg.test/app:1" } }, { body: { pattern: "" } }],
  gc: [{}],
  fsck: [{ body: {} }, { body: { rate: 0 } }],
  adopt: [
    { body: { folder: "/nowhere", upstream: "reg.test" } },
    { body: { folder: "/nowhere", upstream: "/" } },
  ],
  sharedGc: [{}],
  sharedFsck: [{ body: {} }],
  listSharedObjects: [{}, { query: { limit: "0" } }],
  warm: [
    { body: { images: ["reg.test/app:1"] } },
    { body: { images: ["reg.test/app:>=x.y"] } },
    { body: { from: ["cluster"] } },
  ],
  warmList: [{ params: { name: "base" } }, { params: { name: "none" } }],
  reportNode: [
    { body: { address: "10.0.0.1", name: "w1", state: "proved", runtimes: ["containerd"] } },
    { body: { address: "node", state: "wired", runtimes: [] } },
  ],
  listNodes: [{}, { query: { cursor: "x" } }],
  getHistory: [{}, { query: { period: "month" } }, { query: { period: "year" } }],
  listImageClients: [{ query: { image: "reg.test/app" } }, { query: { image: "" } }],
  getTagHistory: [
    { query: { image: "reg.test/app:1" } },
    { query: { image: "reg.test/none:1" } },
    { query: { image: `reg.test/app@sha256:${"0".repeat(64)}` } },
  ],
  listOverrides: [{}, { query: { active: "true" } }, { query: { active: "maybe" } }],
  order: [
    { body: { kind: "hold", image: "reg.test/app:1", reason: "for a test", claim: "ann@ops" } },
    { body: { kind: "hold", image: "reg.test/none:1", reason: "for a test" } },
    { body: { kind: "release", image: "reg.test/app:2", reason: "for a test" } },
    { body: { kind: "rollback", image: "reg.test/app:1", to: "sha256:x", reason: "for a test" } },
    { body: { kind: "freeze", asOf: 1, reason: "for a test", dryRun: true } },
    { body: { kind: "freeze", asOf: 1, reason: " " } },
  ],
  verifyPolicies: [
    { body: { since: 0 } },
    {
      body: {
        since: 0,
        rules: [{ match: "reg.test/**", verify: { mode: "enforce", keys: ["/etc/key.pub"] } }],
      },
    },
  ],
  testPolicies: [
    { body: { since: 0 } },
    {
      body: {
        since: 0,
        rules: [
          {
            match: "reg.test/**",
            age: { minAge: 1000, first: "hold", digests: "pass", lists: "show" },
            verify: { mode: "enforce", revision: "1" },
          },
        ],
      },
    },
    { body: { since: 0, rules: [{ match: "a@b" }] } },
  ],
  endOverride: [{ params: { id: "none" }, body: { reason: "for a test" } }],
  getReadiness: [{ query: { fresh: "true", limit: "1" } }, { query: { cursor: "x" } }],
  askReadiness: [
    { body: { images: ["reg.test/app:1", "reg.test/none:1"], platforms: ["all"] } },
    { body: { images: [] } },
  ],
  fixReadiness: [
    { body: { images: ["reg.test/app:1"] } },
    { body: { images: ["-"] } },
    { body: { platforms: ["arm"] } },
  ],
  beginDrill: [
    { body: { upstreams: ["reg.test"], seconds: 60 } },
    { body: { upstreams: ["reg.test"] } },
    { body: { upstreams: ["none.test"] } },
    { body: { upstreams: [] } },
  ],
  endDrill: [{}, {}],
  reload: [{}],
  testWebhooks: [{ body: {} }, { body: { name: "away" } }, { body: { name: "other" } }],
  getJob: [{ params: { id: "none" } }],
  watchJob: [{ params: { id: "none" } }],
  cancelJob: [{ params: { id: "none" } }],
};

const closing = new AsyncDisposableStack();
let cache: RunningCache;
let api: DescribedApi;
let upstreamUrl: string;
let document: object;
const [one, two] = [imageOf("base", "one"), imageOf("base", "two")];
const untagged = imageOf("base", "untagged");
const signature = artifact(one);

function imageOf(...layers: readonly string[]): Image {
  return layersImage(
    layers.map((text) => [{ path: text, content: new TextEncoder().encode(text) }]),
  );
}

async function pull(
  image: Image,
  repository: string,
  tag: string,
  { listening: { listen } }: RunningCache = cache,
): Promise<void> {
  const get = async (path: string): Promise<void> => {
    const response = await fetch(`http://${listen}/v2/${repository}/${path}?ns=reg.test`);
    expect(response.status).toBe(200);
    await response.bytes();
  };
  await get(`manifests/${tag}`);
  for (const child of image.children ?? []) await get(`manifests/${child.manifest.digest}`);
  for (const blob of image.blobs) await get(`blobs/${blob.digest}`);
}

async function start(upstream: string, owner: AsyncDisposableStack): Promise<RunningCache> {
  const dir = owner.use(await tempDir("admin-api"));
  const config = dir.file("entrepot.yaml");
  const anyPort = "127.0.0.1:0";
  await Bun.write(
    config,
    stringify({
      listen: anyPort,
      admin: anyPort,
      storage: { dir: "data", scrub: 0 },
      events: { webhooks: { away: { url: "http://127.0.0.1:9", format: "cloudevents" } } },
      upstreams: { "reg.test": localUpstream(upstream) },
      warm: { base: { images: ["reg.test/app:1"] } },
    }),
  );
  const log = createLog({ format: "json", level: "silent" });
  const started = await runCache(loadSettings({ flags: { config }, env: {} }), log);
  owner.defer(() => started.close());
  return started;
}

beforeAll(async () => {
  const upstream = closing.use(await startScriptedUpstream());
  const many = await multiPlatformImage();
  upstream.add("app", one, "1");
  upstream.add("app", one, "stable");
  upstream.add("app", two, "2");
  upstream.add("app", untagged, "untagged");
  upstream.add("app", signature);
  upstream.add("many", many, "latest");
  upstreamUrl = upstream.url;
  cache = await start(upstreamUrl, closing);
  api = new DescribedApi(cache.operations, cache.listening.admin);
  document = await api.open();
  await pull(one, "app", "1");
  await pull(one, "app", "stable");
  await pull(two, "app", "2");
  await pull(untagged, "app", untagged.manifest.digest);
  await pull(many, "many", "latest");
  const referrers = `v2/app/referrers/${one.manifest.digest}?ns=reg.test`;
  await (await fetch(`http://${cache.listening.listen}/${referrers}`)).bytes();
});
afterAll(() => closing.disposeAsync());

test("the description is valid OpenAPI 3.1, and has every operation", async () => {
  expect(await new Validator().validate({ ...document })).toEqual({ valid: true });
  const described = JSON.stringify(document);
  for (const { id } of cache.operations) expect(described).toContain(`"operationId":"${id}"`);
});

test("one image is told with its layers, its other names and what refers to it", async () => {
  const { body } = await api.call("getImage", { params: { name: "reg.test/app:1" } });
  const [config, base, own] = one.blobs;
  expect(body).toMatchObject({
    image: "reg.test/app",
    tag: "1",
    digest: one.manifest.digest,
    tags: ["reg.test/app:1", "reg.test/app:stable"],
    repositories: ["reg.test/app"],
    referrers: [
      { digest: signature.manifest.digest, artifactType: "application/vnd.entrepot.test" },
    ],
    manifests: [
      {
        platform: "linux/amd64",
        isComplete: true,
        parts: [
          { digest: one.manifest.digest, isStored: true, isShared: false },
          { digest: config?.digest, isShared: false },
          { digest: base?.digest, size: base?.size, isStored: true, isShared: true },
          { digest: own?.digest, isShared: false },
        ],
      },
    ],
  });
  const byDigest = { name: `reg.test/app:2@${one.manifest.digest}` };
  const other = (await api.call("getImage", { params: byDigest })).body;
  expect(other).toMatchObject({
    digest: one.manifest.digest,
    tags: ["reg.test/app:1", "reg.test/app:stable"],
  });
  expect(other).not.toHaveProperty("tag");
});

test.each(["name", "size", "used"])(
  "the pages of images by %s have each image once",
  async (sort) => {
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const query = { sort, limit: "1", ...(cursor && { cursor }) };
      const page = imagesSchema.parse((await api.call("listImages", { query })).body);
      expect(page.items).toHaveLength(1);
      names.push(...page.items.map(({ image, tag, digest }) => `${image}:${tag ?? digest}`));
      cursor = page.next;
    } while (cursor !== undefined);
    const whole = imagesSchema.parse((await api.call("listImages", { query: { sort } })).body);
    expect(names).toEqual(whole.items.map(({ image, tag, digest }) => `${image}:${tag ?? digest}`));
    expect(names.toSorted()).toEqual([
      "reg.test/app:1",
      "reg.test/app:2",
      `reg.test/app:${untagged.manifest.digest}`,
      "reg.test/app:stable",
      "reg.test/many:latest",
    ]);
  },
);

test("every answer of a running cache is as it is described", async () => {
  for (const { id, method, path, params } of cache.operations) {
    if (method === "GET" && !params && !CALLS[id]) await api.call(id);
    for (const call of CALLS[id] ?? []) await api.call(id, call);
    expect(api.called.keys().toArray(), `${method} ${path}: give it a call in CALLS`).toContain(id);
  }
});

test("whatever no operation takes is refused as it is described", async () => {
  for (const { id, method } of cache.operations) {
    const expected = method === "GET" ? [400] : [400, 415, 400, 400, 413];
    expect([id, ...(await api.misuse(id))]).toEqual([id, ...expected]);
  }
});

test("of readers of a job's events, no more than a hundred are let in, and all others are told so", async () => {
  const base = `http://${cache.listening.admin}/api/v1`;
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ rate: 1 });
  const { id } = jobSchema.parse(
    await (await fetch(`${base}/fsck`, { method: "POST", headers, body })).json(),
  );
  const address = `${base}/jobs/${id}/events`;
  const leaving = new AbortController();
  const readers = await Promise.all(
    Array.from({ length: 100 }, () => fetch(address, { signal: leaving.signal })),
  );
  expect(new Set(readers.map(({ status }) => status))).toEqual(new Set([200]));
  const refused = await fetch(address);
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "10"]);
  expect(await refused.json()).toMatchObject({
    detail: expect.stringContaining("100 pages and programs read these events already"),
    next: expect.stringContaining("GET /api/v1/jobs/{id}"),
  });
  // Nobody else is kept from reading, and those who leave make room.
  leaving.abort();
  const isLetIn = async (): Promise<boolean> => {
    const response = await fetch(address);
    await response.body?.cancel();
    return response.status === 200;
  };
  await until(isLetIn, { what: "a reader is let in" });
  await fetch(`${base}/jobs/${id}`, { method: "DELETE" });
});

test("a cache that stops cancels its jobs, and waits for no reader of their events", async () => {
  const closingBoth = new AsyncDisposableStack();
  const stopping = await start(upstreamUrl, closingBoth);
  await pull(one, "app", "1", stopping);
  // A byte per second: it ends when it is cancelled.
  const fsck = await fetch(`http://${stopping.listening.admin}/api/v1/fsck`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ rate: 1 }),
  });
  const { id } = jobSchema.parse(await fsck.json());
  const address = `http://${stopping.listening.admin}/api/v1/jobs/${id}/events`;
  const events = (await fetch(address)).body?.getReader();
  expect(new TextDecoder().decode((await events?.read())?.value)).toContain('"state":"running"');
  const stopped = closingBoth.disposeAsync().then(() => "stopped");
  // A guard only: the grace for responses in progress is 15 s.
  expect(await withTimeout(8000, stopped)).toBe("stopped");
  await events?.cancel();
});
