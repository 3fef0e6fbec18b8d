import { expect, test } from "bun:test";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { localUpstream } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import type { UpstreamRequest } from "./harness/registries/upstream-request.ts";
import { verifyStore } from "./harness/cache/store-files.ts";

type Alter = (whole: Uint8Array<ArrayBuffer>, request: UpstreamRequest) => faults.Fault | undefined;

const encoding = (name: string): faults.Fault => ({ headers: { "Content-Encoding": name } });
const gzipped = (whole: Uint8Array<ArrayBuffer>): faults.Fault => ({
  headers: { "Content-Encoding": "gzip" },
  body: Bun.gzipSync(whole),
});
const part = (first: number, end: number, size: number): faults.Fault => ({
  status: 206,
  headers: { "Content-Range": `bytes ${first}-${end - 1}/${size}` },
});

const shared = new SharedCache();
let made = 0;

/**
 * A registry with an image, a layer of 6 MiB, and a token endpoint. `alter` changes what it sends with status
 * 200. Repositories under `bypass/` are not cached.
 */
async function setUp(alter: Alter) {
  const upstream = await startScriptedUpstream();
  const image = textImage({ text: upstream.url });
  made += 1;
  const layer = randomContent(6 * 1024 * 1024, made);
  const json = (value: object) => new Uint8Array(Buffer.from(JSON.stringify(value)));
  const referrers = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [{ mediaType: "a/b", digest: layer.digest, size: 1 }],
  });
  for (const name of ["app", "bypass/app"]) {
    upstream.add(name, image, "1");
    upstream.addBlob(name, layer);
  }
  /** What it sends with status 200, if this is sent from here. */
  const sent = ({
    kind,
    reference,
    path,
  }: UpstreamRequest): Uint8Array<ArrayBuffer> | undefined => {
    if (path === "/token") return json({ token: "t", expires_in: 600 });
    if (kind === "tags") return json({ name: "app", tags: ["1"] });
    if (kind === "referrers") return referrers;
    if (kind === "manifest") return bytesOf(image.manifest);
    return kind === "blob" && reference === layer.digest ? bytesOf(layer) : undefined;
  };
  upstream.respond((request) => {
    const isToken = request.path === "/token";
    if (!isToken && request.headers.get("authorization") !== "Bearer t")
      return faults.unauthorized(`Bearer realm="${upstream.url}/token"`);
    const whole = sent(request);
    if (!whole) return undefined;
    const isOwn = isToken || request.kind === "tags" || request.kind === "referrers";
    const plain: faults.Fault = isOwn
      ? { status: 200, body: whole, headers: { "Content-Type": "application/json" } }
      : {};
    const altered = alter(whole, request) ?? {};
    return { ...plain, ...altered, headers: { ...plain.headers, ...altered.headers } };
  });
  const settings = { ...localUpstream(upstream.url), bypass: ["bypass/*"], tagTtl: "0s" };
  const added = await shared.add(settings);
  const { cache } = added;
  const get = async (path: string, method: "GET" | "HEAD" = "GET", range?: string) => {
    const headers = range === undefined ? {} : { range };
    const response = await cache.get(added.path(path), { method, headers });
    const bytes = await response.bytes();
    return { status: response.status, headers: response.headers, bytes };
  };
  return {
    upstream,
    cache,
    path: added.path,
    image,
    layer,
    get,
    async [Symbol.asyncDispose]() {
      added[Symbol.dispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

const unasked: Alter = (whole, { headers }) =>
  headers.has("range") ? undefined : part(0, whole.length, whole.length);

/** All that can be asked, where the bytes are right. */
test.each<[string, Alter]>([
  ["Content-Encoding: gzip as a label", () => encoding("gzip")],
  ["Content-Encoding: aws-chunked", () => encoding("aws-chunked")],
  ["Content-Encoding: identity", () => encoding("identity")],
  ["203", (_, { headers }) => (headers.has("range") ? undefined : { status: 203 })],
  ["an unasked 206 of the whole", unasked],
])("a registry that sends %s is pulled from like any other", async (_, alter) => {
  await using at = await setUp(alter);
  const { image, layer } = at;
  for (const name of ["app", "bypass/app"]) {
    for (const method of ["HEAD", "GET"] as const) {
      const manifest = await at.get(`${name}/manifests/1`, method);
      expect(manifest.status).toBe(200);
      expect(manifest.headers.get("content-encoding")).toBeNull();
      expect(manifest.headers.get("content-length")).toBe(String(image.manifest.size));
    }
    const range = await at.get(`${name}/blobs/${layer.digest}`, "GET", "bytes=5-8");
    expect([range.status, range.bytes]).toEqual([206, bytesOf(layer).slice(5, 9)]);
    const whole = await at.get(`${name}/blobs/${layer.digest}`);
    expect(whole.headers.get("content-encoding")).toBeNull();
    expect(whole.bytes).toEqual(bytesOf(layer));
    expect(JSON.parse(Buffer.from((await at.get(`${name}/tags/list`)).bytes).toString())).toEqual({
      name,
      tags: ["1"],
    });
    const referrers = await at.get(`${name}/referrers/${image.manifest.digest}`);
    expect(Buffer.from(referrers.bytes).toString()).toContain(layer.digest);
  }
  expect(await verifyStore(at.cache.data)).toContain(layer.digest);
});

test("manifests, lists and tokens that are really compressed are decoded", async () => {
  await using at = await setUp((whole, { kind }) => (kind === "blob" ? undefined : gzipped(whole)));
  const { image, layer } = at;
  for (const name of ["app", "bypass/app"]) {
    for (const method of ["HEAD", "GET"] as const) {
      const manifest = await at.get(`${name}/manifests/1`, method);
      expect(manifest.status).toBe(200);
      expect(manifest.headers.get("content-length")).toBe(String(image.manifest.size));
      expect(manifest.headers.get("docker-content-digest")).toBe(image.manifest.digest);
    }
    expect(Buffer.from((await at.get(`${name}/tags/list`)).bytes).toString()).toContain('"1"');
    const referrers = await at.get(`${name}/referrers/${image.manifest.digest}`);
    expect(Buffer.from(referrers.bytes).toString()).toContain(layer.digest);
  }
});

test("a blob that is really compressed is not what its digest names", async () => {
  await using at = await setUp((whole, { kind }) => (kind === "blob" ? gzipped(whole) : undefined));
  const response = await at.cache.get(at.path(`app/blobs/${at.layer.digest}`));
  const received = await response.bytes().catch(() => new Uint8Array());
  expect(received.length).toBeLessThan(at.layer.size);
  expect(await verifyStore(at.cache.data)).not.toContain(at.layer.digest);
});

test.each<[string, Alter]>([
  ["the beginning", (whole) => part(0, whole.length - 1, whole.length)],
  ["the end", (whole) => part(1, whole.length, whole.length)],
  [
    "the whole of an unknown size",
    (whole) => ({
      status: 206,
      headers: { "Content-Range": `bytes 0-${whole.length - 1}/*` },
    }),
  ],
  ["no Content-Range", () => ({ status: 206 })],
])("an unasked 206 with %s is an error", async (_, fault) => {
  await using at = await setUp((whole, request) =>
    request.path === "/token" || request.headers.has("range") ? undefined : fault(whole, request),
  );
  for (const path of ["app/manifests/1", "app/tags/list", `bypass/app/blobs/${at.layer.digest}`]) {
    expect((await at.get(path)).status).toBe(502);
  }
  // Of a blob whose size is not known, a part is asked for.
  const { status, bytes } = await at.get(`app/blobs/${at.layer.digest}`);
  expect([status, bytes]).toEqual([200, bytesOf(at.layer)]);
});
