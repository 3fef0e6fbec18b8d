import { describe, expect, test } from "bun:test";
import { DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST } from "../src/oci/media-types.ts";
import { bytesOf, ownContent } from "./harness/images/content.ts";
import { RegistriesWithPorts } from "./harness/cache/registries-with-ports.ts";
import { errorResponse } from "./harness/faults/faults.ts";
import {
  artifact,
  fallbackTag,
  type Image,
  multiPlatformImage,
  referrersIndex,
  textImage,
} from "./harness/images/images.ts";

// As many as there are tests.
const registries = new RegistriesWithPorts(25);
let images = 0;

function ownImage(): Image {
  images += 1;
  return textImage({ text: `image ${images}` });
}

async function setUp(image: Image = ownImage()) {
  const { cache, name, upstream } = await registries.take();
  const blob = ownContent(300_000);
  upstream.add("org/app", image, "1");
  upstream.addBlob("org/app", blob);
  return {
    name,
    upstream,
    cache,
    blob,
    bytes: bytesOf(blob),
    blobPath: `/v2/org/app/blobs/${blob.digest}`,
    get: (path: string, headers: Record<string, string> = {}, method = "GET") =>
      fetch(`${cache.portUrl(name)}${path}`, { method, headers, redirect: "manual" }),
  };
}

test("GET /v2/ responds 200 to every client, without a challenge", async () => {
  const at = await setUp();
  for (const path of ["/v2/", "/v2"]) {
    const response = await at.get(path);
    expect(response.status).toBe(200);
    expect(response.headers.get("docker-distribution-api-version")).toBe("registry/2.0");
    expect(response.headers.get("www-authenticate")).toBeNull();
  }
});

describe("a blob", () => {
  test("has the same headers as a miss and as a hit, for GET and HEAD", async () => {
    const at = await setUp();
    for (const [method, cacheStatus] of [
      ["HEAD", "entrepot; fwd=miss"],
      ["GET", "entrepot; fwd=miss; stored"],
      ["GET", "entrepot; hit"],
      ["HEAD", "entrepot; hit"],
    ] as const) {
      const response = await at.get(at.blobPath, {}, method);
      expect(response.status).toBe(200);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        "docker-content-digest": at.blob.digest,
        "content-length": "300000",
        "content-type": "application/octet-stream",
        etag: `"${at.blob.digest}"`,
        "accept-ranges": "bytes",
        "oci-namespace": at.name,
        "docker-distribution-api-version": "registry/2.0",
      });
      expect(response.headers.get("cache-status")).toStartWith(cacheStatus);
      if (method === "GET") expect(await response.bytes()).toEqual(at.bytes);
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
  ])("is served partially for the range %s", async (range, first, end) => {
    const at = await setUp();
    for (const _ of ["cold", "warm"]) {
      const response = await at.get(at.blobPath, { range });
      expect(response.status).toBe(206);
      expect(response.headers.get("content-range")).toBe(`bytes ${first}-${end - 1}/300000`);
      expect(response.headers.get("content-length")).toBe(String(end - first));
      expect(await response.bytes()).toEqual(at.bytes.subarray(first, end));
    }
  });

  test("responds 416 to an unsatisfiable range, and ignores other units and a failed If-Range", async () => {
    const at = await setUp();
    for (const range of ["bytes=300000-", "bytes=-0", "bytes=500-0", "bytes=x"]) {
      const response = await at.get(at.blobPath, { range });
      expect([range, response.status]).toEqual([range, 416]);
      await response.body?.cancel();
    }
    const past = await at.get(at.blobPath, { range: "bytes=300000-" });
    expect(past.headers.get("content-range")).toBe("bytes */300000");
    const lines = await at.get(at.blobPath, { range: "lines=1-2" });
    expect(lines.status).toBe(200);
    const other = await at.get(at.blobPath, { range: "bytes=0-9", "if-range": '"sha256:other"' });
    expect([other.status, (await other.bytes()).length]).toEqual([200, 300_000]);
  });

  test("responds 304 to a matching If-None-Match", async () => {
    const at = await setUp();
    await (await at.get(at.blobPath)).bytes();
    const response = await at.get(at.blobPath, { "if-none-match": `"${at.blob.digest}"` });
    expect([response.status, await response.text()]).toEqual([304, ""]);
  });

  test("stored from another repository is served only after the upstream grants access to it", async () => {
    const at = await setUp();
    await (await at.get(at.blobPath)).bytes();
    at.upstream.addBlob("org/shared", at.blob);
    at.upstream.forget();
    const path = `/v2/org/shared/blobs/${at.blob.digest}`;
    for (const _ of [1, 2]) expect(await (await at.get(path)).bytes()).toEqual(at.bytes);
    const requests = at.upstream.requests();
    expect(requests.map(({ method, headers }) => [method, headers.get("range")])).toEqual([
      ["GET", "bytes=0-0"],
    ]);
    const foreign = await at.get(`/v2/org/other/blobs/${at.blob.digest}`);
    expect(foreign.status).toBe(404);
    expect(await foreign.json()).toMatchObject({ errors: [{ code: "BLOB_UNKNOWN" }] });
  });
});

test("a small blob without Content-Length from the upstream is verified before it is sent", async () => {
  const at = await setUp();
  at.upstream.respond(() => ({ framing: "chunked" }));
  const response = await at.get(at.blobPath);
  expect(response.headers.get("content-length")).toBe("300000");
  expect(await response.bytes()).toEqual(at.bytes);
});

describe("a manifest", () => {
  test("is served by tag and by digest, with the bytes that were pushed", async () => {
    const image = ownImage();
    const at = await setUp(image);
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

  test("that is not cached is checked with HEAD only, for a HEAD request", async () => {
    const image = ownImage();
    const at = await setUp(image);
    for (const reference of ["1", image.manifest.digest]) {
      const response = await at.get(`/v2/org/app/manifests/${reference}`, {}, "HEAD");
      expect(response.headers.get("content-length")).toBe(String(image.manifest.size));
      expect(response.headers.get("docker-content-digest")).toBe(image.manifest.digest);
    }
    const methods = at.upstream.requests({ kind: "manifest" }).map(({ method }) => method);
    expect(methods).toEqual(["HEAD", "HEAD"]);
  });

  test("is chosen by several Accept header lines", async () => {
    const image = await multiPlatformImage({ architectures: ["arm64", "amd64"] });
    const at = await setUp(image);
    const get = (accept: [string, string][]) =>
      fetch(`${at.cache.portUrl(at.name)}/v2/org/app/manifests/1`, { headers: accept });
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
    await single.bytes();
    const neither = await get([["accept", "text/html"]]);
    expect(neither.status).toBe(404);
    expect(await neither.json()).toMatchObject({ errors: [{ code: "MANIFEST_UNKNOWN" }] });
  });
});

describe("tags", () => {
  test("are listed sorted and in pages", async () => {
    const image = ownImage();
    const at = await setUp(image);
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

  test.each(["-1", "x", "1e3", ""])("are not listed for n=%s", async (n) => {
    const at = await setUp();
    const response = await at.get(`/v2/org/app/tags/list?n=${n}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ code: "UNSUPPORTED" }] });
    expect(at.upstream.requests()).toEqual([]);
  });
});

describe("referrers", () => {
  test.each([true, false])("are listed and filtered; upstream with the API: %p", async (api) => {
    const image = ownImage();
    const at = await setUp(image);
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

  test("of a digest without referrers are an empty index", async () => {
    const at = await setUp();
    at.upstream.respond(({ kind }) => (kind === "referrers" ? errorResponse(404) : undefined));
    const response = await at.get(`/v2/org/app/referrers/${at.blob.digest}`);
    // Nothing is stored about a digest that nobody pulled.
    expect(response.headers.get("cache-status")).toBe("entrepot; fwd=miss");
    expect([response.status, await response.json()]).toEqual([
      200,
      { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] },
    ]);
  });
});

test("the catalog lists the cached repositories of a namespace", async () => {
  const image = ownImage();
  const at = await setUp(image);
  at.upstream.add("org/other", image, "1");
  await (await at.get("/v2/org/app/manifests/1")).bytes();
  await (await at.get("/v2/org/other/manifests/1")).bytes();
  expect(await (await at.get("/v2/_catalog")).json()).toEqual({
    repositories: ["org/app", "org/other"],
  });
  const page = await at.cache.get(`/v2/_catalog?ns=${at.name}&n=1`);
  expect(await page.json()).toEqual({ repositories: ["org/app"] });
  expect(page.headers.get("link")).toBe(
    `</v2/_catalog?ns=${at.name}&n=1&last=org%2Fapp>; rel="next"`,
  );
  const prefixed = await at.cache.get(`/v2/${at.name}/_catalog?last=org/app`);
  expect(await prefixed.json()).toEqual({ repositories: ["org/other"] });
});

test("pushes are rejected with 405, and the connection is closed", async () => {
  const at = await setUp();
  for (const method of ["PUT", "POST", "PATCH", "DELETE"]) {
    const response = await at.get("/v2/org/app/blobs/uploads/", {}, method);
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
    expect(response.headers.get("connection")).toBe("close");
    expect(await response.json()).toMatchObject({ errors: [{ code: "UNSUPPORTED" }] });
  }
  expect(at.upstream.requests()).toEqual([]);
});
