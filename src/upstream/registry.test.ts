import { expect, test } from "bun:test";
import { digestOf } from "../oci/digest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../oci/media-types.ts";
import {
  chunked,
  faultOf,
  registry,
  repository,
  type Seen,
  serve,
  serveRaw,
  tag,
} from "./upstreamtest/test-servers.ts";

const app = repository("team/app");
const latest = tag("latest");
const manifest = new TextEncoder().encode('{"schemaVersion":2}');
const manifestDigest = digestOf(manifest);
const content = new TextEncoder().encode("0123456789");
const contentDigest = digestOf(content);

function manifestResponse(headers: Record<string, string> = {}): Response {
  return new Response(manifest, { headers: { "content-type": OCI_MANIFEST, ...headers } });
}

async function text(body: ReadableStream<Uint8Array>): Promise<string> {
  return new Response(body).text();
}

test("HEAD of a manifest tells digest, type and size", async () => {
  using server = serve(({ method }) =>
    method === "HEAD"
      ? manifestResponse({ "docker-content-digest": manifestDigest })
      : new Response("", { status: 500 }),
  );
  expect(await registry(server.port).headManifest(app, latest)).toEqual({
    digest: manifestDigest,
    mediaType: OCI_MANIFEST,
    size: manifest.byteLength,
  });
  expect(server.seen[0]?.path).toBe("/v2/team/app/manifests/latest");
  expect(server.seen[0]?.headers.get("accept")).toContain(OCI_INDEX);
});

test("HEAD without a digest, and with another than was asked for", async () => {
  using bare = serve(() => manifestResponse({ "docker-content-digest": "md5:abc" }));
  expect((await registry(bare.port).headManifest(app, latest))?.digest).toBeUndefined();
  using wrong = serve(() => manifestResponse({ "docker-content-digest": contentDigest }));
  const fault = await faultOf(registry(wrong.port).headManifest(app, manifestDigest));
  expect(fault.kind).toBe("upstream-invalid-response");
});

test("a registry below a path", async () => {
  using server = serve(() => manifestResponse());
  await registry(server.port, "/mirror").getManifest(app, latest);
  expect(server.seen[0]?.path).toBe("/mirror/v2/team/app/manifests/latest");
});

const sha512 = digestOf(manifest, "sha512");

test.each([
  ["no digest", {}, manifestDigest],
  ["its digest", { "docker-content-digest": manifestDigest }, manifestDigest],
  ["its sha512 digest", { "docker-content-digest": sha512 }, sha512],
  ["a digest of an unknown kind", { "docker-content-digest": "md5:abc" }, manifestDigest],
])("a tag's manifest with %s", async (_, headers, digest) => {
  using server = serve(() => manifestResponse(headers));
  expect(await registry(server.port).getManifest(app, latest)).toEqual({
    bytes: manifest,
    manifest: { mediaType: OCI_MANIFEST, manifests: [], blobs: [] },
    digest,
  });
});

test("manifests that are not what they should be", async () => {
  using server = serve(() => manifestResponse({ "docker-content-digest": contentDigest }));
  const subject = registry(server.port);
  expect((await faultOf(subject.getManifest(app, latest))).kind).toBe("upstream-invalid-response");
  expect((await faultOf(subject.getManifest(app, contentDigest))).kind).toBe(
    "upstream-invalid-response",
  );
  // For a digest only the bytes count.
  expect((await subject.getManifest(app, manifestDigest)).digest).toBe(manifestDigest);
  expect((await subject.getManifest(app, sha512)).digest).toBe(sha512);
});

test("a manifest over 8 MiB is refused, with a length and without", async () => {
  const big = new Uint8Array(8 * 1024 * 1024 + 1);
  using server = serve(({ path }) => (path.endsWith("latest") ? new Response(big) : chunked(big)));
  const subject = registry(server.port);
  for (const name of [latest, tag("chunked")]) {
    expect((await faultOf(subject.getManifest(app, name))).kind).toBe("upstream-invalid-response");
  }
});

test.each([
  [401, { kind: "upstream-denied", status: 401 }],
  [403, { kind: "upstream-denied", status: 403 }],
  [404, { kind: "not-found", what: "manifest", name: "team/app:latest" }],
  [429, { kind: "upstream-rate-limited", retryAfter: 7 }],
  [500, { kind: "upstream-failed", status: 500 }],
  [503, { kind: "upstream-failed", status: 503 }],
  [400, { kind: "upstream-failed", status: 400 }],
  [204, { kind: "upstream-failed", status: 204 }],
  [304, { kind: "upstream-failed", status: 304 }],
  [206, { kind: "upstream-invalid-response" }],
])("status %i", async (status, detail) => {
  using server = serve(
    () =>
      new Response(status === 204 || status === 304 ? null : "x", {
        status,
        headers: { "retry-after": "7" },
      }),
  );
  expect(await faultOf(registry(server.port).getManifest(app, latest))).toMatchObject(detail);
});

test("a web page with 200 is no manifest, blob or list", async () => {
  using server = serve(
    () => new Response("<html>", { headers: { "content-type": "text/html; charset=utf-8" } }),
  );
  const subject = registry(server.port);
  const asked = [
    subject.headManifest(app, latest),
    subject.getManifest(app, latest),
    subject.getBlob(app, contentDigest, 0),
    subject.getBlob(app, contentDigest, 5),
    subject.probeBlob(app, contentDigest),
    subject.listTags(app, { n: 10 }),
    subject.referrers(app, manifestDigest),
  ];
  for (const one of asked) expect((await faultOf(one)).kind).toBe("upstream-invalid-response");
});

test("health follows what is answered", async () => {
  let status = 503;
  using server = serve(() => new Response("x", { status }));
  const subject = registry(server.port);
  await faultOf(subject.getManifest(app, latest));
  expect(subject.isUnhealthy).toBe(true);
  status = 404;
  await faultOf(subject.getManifest(app, latest));
  expect(subject.isUnhealthy).toBe(false);
});

/** Ten digits, with ranges. */
function digits({ headers }: Seen): Response {
  const range = /^bytes=(\d+)-(\d*)$/.exec(headers.get("range") ?? "");
  if (!range) return new Response(content);
  const [first, last] = [Number(range[1]), Math.min(Number(range[2] || 9), 9)];
  if (first > 9) {
    return new Response("", { status: 416, headers: { "content-range": "bytes */10" } });
  }
  return new Response(content.slice(first, last + 1), {
    status: 206,
    headers: { "content-range": `bytes ${first}-${last}/10` },
  });
}

test("a blob from its start, from an offset and between two", async () => {
  using server = serve(digits);
  const subject = registry(server.port);
  const whole = await subject.getBlob(app, contentDigest, 0);
  expect([whole.start, whole.size, await text(whole.body)]).toEqual([0, 10, "0123456789"]);
  const rest = await subject.getBlob(app, contentDigest, 4);
  expect([rest.start, rest.size, await text(rest.body)]).toEqual([4, 10, "456789"]);
  const part = await subject.getBlob(app, contentDigest, 0, undefined, 3);
  expect([part.start, part.size, await text(part.body)]).toEqual([0, 10, "012"]);
  expect(server.seen.map(({ headers }) => headers.get("range"))).toEqual([
    null,
    "bytes=4-",
    "bytes=0-2",
  ]);
  expect(server.seen[0]?.path).toBe(`/v2/team/app/blobs/${contentDigest}`);
});

test("a registry without ranges answers from the first byte", async () => {
  using server = serve(() => new Response(content));
  const { start, size, body } = await registry(server.port).getBlob(app, contentDigest, 4);
  expect([start, size, await text(body)]).toEqual([0, 10, "0123456789"]);
});

test("past the end", async () => {
  using server = serve(digits);
  const fault = await faultOf(registry(server.port).getBlob(app, contentDigest, 10));
  expect(fault).toMatchObject({ kind: "invalid-range", size: 10 });
});

test.each([
  ["no Content-Range", undefined],
  ["another place", "bytes 5-9/10"],
  ["a longer part", "bytes 4-9/10"],
  ["a part past its size", "bytes 4-7/6"],
  ["rubbish", "bytes 4-x/10"],
  ["another length", "bytes 4-6/10"],
])("a 206 with %s is not used", async (_, range) => {
  using server = serve(
    () =>
      new Response("4567", {
        status: 206,
        headers: range === undefined ? {} : { "content-range": range },
      }),
  );
  const fault = await faultOf(registry(server.port).getBlob(app, contentDigest, 4, undefined, 8));
  expect(fault.kind).toBe("upstream-invalid-response");
});

test("a 206 that nobody asked for is not used", async () => {
  using server = serve(
    () => new Response("01", { status: 206, headers: { "content-range": "bytes 0-1/10" } }),
  );
  const fault = await faultOf(registry(server.port).getBlob(app, contentDigest, 0));
  expect(fault.kind).toBe("upstream-invalid-response");
});

test("an empty blob", async () => {
  using server = serve(() => new Response(""));
  const { size, body } = await registry(server.port).getBlob(app, digestOf(new Uint8Array()), 0);
  expect([size, await text(body)]).toEqual([0, ""]);
});

test("a blob that breaks off, and one of an unknown length", async () => {
  using cut = await serveRaw((socket) =>
    socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234"),
  );
  const broken = await registry(cut.port).getBlob(app, contentDigest, 0);
  expect(broken.size).toBe(10);
  expect((await faultOf(text(broken.body))).kind).toBe("upstream-unreachable");
  using endless = serve(() => chunked(content));
  const unknown = await registry(endless.port).getBlob(app, contentDigest, 0);
  expect([unknown.size, await text(unknown.body)]).toEqual([undefined, "0123456789"]);
});

test("a probe asks for one byte, by GET, through redirects", async () => {
  using cdn = serve(digits);
  using server = serve(() => Response.redirect(`http://cdn.example:${cdn.port}/x`, 307));
  expect(await registry(server.port).probeBlob(app, contentDigest)).toEqual({ size: 10 });
  expect(server.seen.map(({ method }) => method)).toEqual(["GET"]);
  expect(cdn.seen[0]?.headers.get("range")).toBe("bytes=0-0");
});

test("a probe of a blob that is empty, whole, missing or private", async () => {
  let answer = (): Response =>
    new Response("", { status: 416, headers: { "content-range": "bytes */0" } });
  using server = serve(() => answer());
  const subject = registry(server.port);
  expect(await subject.probeBlob(app, contentDigest)).toEqual({ size: 0 });
  answer = () => new Response(content);
  expect(await subject.probeBlob(app, contentDigest)).toEqual({ size: 10 });
  answer = () => new Response("", { status: 404 });
  expect(await faultOf(subject.probeBlob(app, contentDigest))).toMatchObject({
    kind: "not-found",
    what: "blob",
  });
  answer = () => new Response("", { status: 403 });
  expect((await faultOf(subject.probeBlob(app, contentDigest))).kind).toBe("upstream-denied");
});
