import { describe, expect, test } from "bun:test";
import { parseManifest } from "../src/oci/manifest.ts";
import { DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from "../src/oci/media-types.ts";
import { bytesOf, randomContent } from "./harness/content.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { errorResponse } from "./harness/faults.ts";
import {
  artifact,
  fallbackTag,
  type Image,
  multiPlatformImage,
  referrersIndex,
  textImage,
} from "./harness/images.ts";
import { freePort } from "./harness/free-port.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";

const blob = randomContent(300_000);
const bytes = bytesOf(blob);

async function started(image: Image = textImage(), config: object = {}) {
  const upstream = await startScriptedUpstream();
  upstream.add("org/app", image, "1");
  upstream.addBlob("org/app", blob);
  const port = freePort();
  const cache = await startEntrepot({
    config: { upstreams: { "reg.test": { ...localUpstream(upstream.url), port, ...config } } },
  });
  return {
    upstream,
    cache,
    get: (path: string, headers: Record<string, string> = {}, method = "GET") =>
      fetch(`${cache.portUrl("reg.test")}${path}`, { method, headers, redirect: "manual" }),
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

const blobPath = `/v2/org/app/blobs/${blob.digest}`;

test("the base answers to everybody, without a challenge", async () => {
  await using at = await started();
  for (const path of ["/v2/", "/v2"]) {
    const response = await at.get(path);
    expect(response.status).toBe(200);
    expect(response.headers.get("docker-distribution-api-version")).toBe("registry/2.0");
    expect(response.headers.get("www-authenticate")).toBeNull();
  }
});

describe("a blob", () => {
  test("comes with all its headers, cold and warm, by GET and HEAD", async () => {
    await using at = await started();
    for (const [method, note] of [
      ["HEAD", "entrepot; fwd=miss"],
      ["GET", "entrepot; fwd=miss; stored"],
      ["GET", "entrepot; hit"],
      ["HEAD", "entrepot; hit"],
    ] as const) {
      const response = await at.get(blobPath, {}, method);
      expect(response.status).toBe(200);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        "docker-content-digest": blob.digest,
        "content-length": "300000",
        "content-type": "application/octet-stream",
        etag: `"${blob.digest}"`,
        "accept-ranges": "bytes",
        "oci-namespace": "reg.test",
        "docker-distribution-api-version": "registry/2.0",
      });
      expect(response.headers.get("cache-status")).toStartWith(note);
      if (method === "GET") expect(await response.bytes()).toEqual(bytes);
    }
    expect(at.upstream.requests({ kind: "blob", method: "HEAD" })).toEqual([]);
  });

  test.each([
    ["bytes=0-0", 0, 1],
    ["bytes=100-199", 100, 200],
    ["bytes=299000-", 299_000, 300_000],
    ["bytes=-10", 299_990, 300_000],
    ["bytes=299000-999999", 299_000, 300_000],
    ["bytes=0-", 0, 300_000],
  ])("in part: %s", async (range, first, end) => {
    await using at = await started();
    for (const _ of ["cold", "warm"]) {
      const response = await at.get(blobPath, { range });
      expect(response.status).toBe(206);
      expect(response.headers.get("content-range")).toBe(`bytes ${first}-${end - 1}/300000`);
      expect(response.headers.get("content-length")).toBe(String(end - first));
      expect(await response.bytes()).toEqual(bytes.subarray(first, end));
    }
  });

  test("of which no such part exists", async () => {
    await using at = await started();
    for (const range of ["bytes=300000-", "bytes=-0", "bytes=500-0", "bytes=0-1,5-6", "bytes=x"]) {
      const response = await at.get(blobPath, { range });
      expect([range, response.status]).toEqual([range, 416]);
      await response.body?.cancel();
    }
    const past = await at.get(blobPath, { range: "bytes=300000-" });
    expect(past.headers.get("content-range")).toBe("bytes */300000");
    const lines = await at.get(blobPath, { range: "lines=1-2" });
    expect(lines.status).toBe(200);
    const other = await at.get(blobPath, { range: "bytes=0-9", "if-range": '"sha256:other"' });
    expect([other.status, (await other.bytes()).length]).toEqual([200, 300_000]);
  });

  test("that the client has is not sent again", async () => {
    await using at = await started();
    await (await at.get(blobPath)).bytes();
    const response = await at.get(blobPath, { "if-none-match": `"${blob.digest}"` });
    expect([response.status, await response.text()]).toEqual([304, ""]);
  });

  test("of another repository is shown only after the upstream has shown it there", async () => {
    await using at = await started();
    await (await at.get(blobPath)).bytes();
    at.upstream.addBlob("org/shared", blob);
    at.upstream.forget();
    const path = `/v2/org/shared/blobs/${blob.digest}`;
    for (const _ of [1, 2]) expect(await (await at.get(path)).bytes()).toEqual(bytes);
    const asked = at.upstream.requests();
    expect(asked.map(({ method, headers }) => [method, headers.get("range")])).toEqual([
      ["GET", "bytes=0-0"],
    ]);
    const foreign = await at.get(`/v2/org/other/blobs/${blob.digest}`);
    expect(foreign.status).toBe(404);
    expect(await foreign.json()).toMatchObject({ errors: [{ code: "BLOB_UNKNOWN" }] });
  });
});

test("a small blob whose size the upstream does not tell is verified before it is sent", async () => {
  await using at = await started();
  at.upstream.respond(() => ({ framing: "chunked" }));
  const response = await at.get(blobPath);
  expect(response.headers.get("content-length")).toBe("300000");
  expect(await response.bytes()).toEqual(bytes);
});

describe("a manifest", () => {
  test("comes by tag and by digest, with the bytes that were pushed", async () => {
    const image = textImage();
    await using at = await started(image);
    for (const reference of ["1", image.manifest.digest]) {
      const response = await at.get(`/v2/org/app/manifests/${reference}`);
      expect(await response.bytes()).toEqual(image.manifest.bytes);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        "content-type": OCI_MANIFEST,
        "content-length": String(image.manifest.size),
        "docker-content-digest": image.manifest.digest,
        etag: `"${image.manifest.digest}"`,
      });
    }
    expect(at.upstream.requests({ kind: "manifest" }).length).toBe(1);
  });

  test("that nobody pulled is looked at by HEAD alone", async () => {
    const image = textImage();
    await using at = await started(image);
    for (const reference of ["1", image.manifest.digest]) {
      const response = await at.get(`/v2/org/app/manifests/${reference}`, {}, "HEAD");
      expect(response.headers.get("content-length")).toBe(String(image.manifest.size));
      expect(response.headers.get("docker-content-digest")).toBe(image.manifest.digest);
    }
    const methods = at.upstream.requests({ kind: "manifest" }).map(({ method }) => method);
    expect(methods).toEqual(["HEAD", "HEAD"]);
  });

  test("is chosen by what several Accept lines allow", async () => {
    const image = await multiPlatformImage({ architectures: ["arm64", "amd64"] });
    await using at = await started(image);
    const get = (accept: [string, string][]) =>
      fetch(`${at.cache.portUrl("reg.test")}/v2/org/app/manifests/1`, { headers: accept });
    const both = await get([
      ["accept", OCI_MANIFEST],
      ["accept", OCI_INDEX],
    ]);
    expect(both.headers.get("content-type")).toBe(OCI_INDEX);
    await both.bytes();
    const single = await get([
      ["accept", DOCKER_MANIFEST],
      ["accept", OCI_MANIFEST],
    ]);
    expect(single.headers.get("docker-content-digest")).toBe(
      image.children[1]?.manifest.digest ?? "",
    );
    expect(() => parseManifest(bytes, OCI_MANIFEST)).toThrow();
    await single.bytes();
    const neither = await get([["accept", "text/html"]]);
    expect(neither.status).toBe(404);
    expect(await neither.json()).toMatchObject({ errors: [{ code: "MANIFEST_UNKNOWN" }] });
  });
});

describe("tags", () => {
  test("are sorted and come in pages", async () => {
    const image = textImage();
    await using at = await started(image);
    for (const tag of ["b", "a", "d", "c"]) at.upstream.tag("org/app", tag, image.manifest.digest);
    const list = async (query: string) => {
      const response = await at.get(`/v2/org/app/tags/list${query}`);
      return [await response.json(), response.headers.get("link")];
    };
    const name = "org/app";
    expect(await list("")).toEqual([{ name, tags: ["1", "a", "b", "c", "d"] }, null]);
    expect(await list("?n=2")).toEqual([
      { name, tags: ["1", "a"] },
      '</v2/org/app/tags/list?n=2&last=a>; rel="next"',
    ]);
    expect(await list("?n=2&last=c")).toEqual([{ name, tags: ["d"] }, null]);
    expect(await list("?last=b")).toEqual([{ name, tags: ["c", "d"] }, null]);
    expect(await list("?n=0")).toEqual([{ name, tags: [] }, null]);
    expect(at.upstream.requests({ kind: "tags" }).length).toBe(1);
    await at.upstream.stop();
    expect(await list("?n=1&last=c")).toEqual([{ name, tags: ["d"] }, null]);
  });

  test.each(["99999999999", "-1", "x", "10001", ""])("refuse n=%s", async (n) => {
    await using at = await started();
    const response = await at.get(`/v2/org/app/tags/list?n=${n}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ code: "UNSUPPORTED" }] });
    expect(at.upstream.requests()).toEqual([]);
  });
});

describe("referrers", () => {
  test.each([true, false])("are listed and filtered; the upstream has the API: %p", async (api) => {
    const image = textImage();
    await using at = await started(image);
    const signature = artifact(image, { type: "application/vnd.test.signature" });
    at.upstream.add("org/app", signature);
    if (!api) {
      at.upstream.add("org/app", referrersIndex([signature]), fallbackTag(image));
      at.upstream.respond(({ kind }) => (kind === "referrers" ? errorResponse(404) : undefined));
    }
    const list = (query = "") => at.get(`/v2/org/app/referrers/${image.manifest.digest}${query}`);
    const all = await list();
    expect(all.headers.get("content-type")).toBe(OCI_INDEX);
    expect(await all.json()).toMatchObject({
      schemaVersion: 2,
      mediaType: OCI_INDEX,
      manifests: [{ digest: signature.manifest.digest }],
    });
    const none = await list("?artifactType=application/vnd.other");
    expect(none.headers.get("oci-filters-applied")).toBe("artifactType");
    expect(await none.json()).toMatchObject({ manifests: [] });
    const some = await list("?artifactType=application/vnd.test.signature");
    expect(await some.json()).toMatchObject({ manifests: [{ size: signature.manifest.size }] });
  });

  test("of what nobody refers to are an empty index", async () => {
    await using at = await started();
    at.upstream.respond(({ kind }) => (kind === "referrers" ? errorResponse(404) : undefined));
    const response = await at.get(`/v2/org/app/referrers/${blob.digest}`);
    expect([response.status, await response.json()]).toEqual([
      200,
      { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] },
    ]);
  });
});

test("the catalog names what is cached, by namespace", async () => {
  const image = textImage();
  await using at = await started(image);
  at.upstream.add("org/other", image, "1");
  await (await at.get("/v2/org/app/manifests/1")).bytes();
  await (await at.get("/v2/org/other/manifests/1")).bytes();
  expect(await (await at.get("/v2/_catalog")).json()).toEqual({
    repositories: ["org/app", "org/other"],
  });
  const page = await at.cache.get("/v2/_catalog?ns=reg.test&n=1");
  expect(await page.json()).toEqual({ repositories: ["org/app"] });
  expect(page.headers.get("link")).toBe(
    '</v2/_catalog?ns=reg.test&n=1&last=org%2Fapp>; rel="next"',
  );
  const prefixed = await at.cache.get("/v2/reg.test/_catalog?last=org/app");
  expect(await prefixed.json()).toEqual({ repositories: ["org/other"] });
});

test("pushes are refused, and their connection is closed", async () => {
  await using at = await started();
  for (const method of ["PUT", "POST", "PATCH", "DELETE"]) {
    const response = await at.get("/v2/org/app/blobs/uploads/", {}, method);
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
    expect(response.headers.get("connection")).toBe("close");
    expect(await response.json()).toMatchObject({ errors: [{ code: "UNSUPPORTED" }] });
  }
  expect(at.upstream.requests()).toEqual([]);
});
