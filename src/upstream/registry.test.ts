import { expect, test } from "bun:test";
import { digestOf } from "../oci/digest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../oci/media-types.ts";
import {
  chunked,
  faultOf,
  registry,
  repository,
  type RecordedRequest,
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

test("headManifest returns digest, media type and size", async () => {
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
  expect(server.requests[0]?.path).toBe("/v2/team/app/manifests/latest");
  expect(server.requests[0]?.headers.get("accept")).toContain(OCI_INDEX);
});

test("headManifest accepts a missing digest, and believes none that differs from the request", async () => {
  using without = serve(() => manifestResponse({ "docker-content-digest": "md5:abc" }));
  expect((await registry(without.port).headManifest(app, latest))?.digest).toBeUndefined();
  using wrong = serve(() => manifestResponse({ "docker-content-digest": contentDigest }));
  expect(await registry(wrong.port).headManifest(app, manifestDigest)).toBeUndefined();
});

test("a URL with a path becomes the prefix of /v2", async () => {
  using server = serve(() => manifestResponse());
  await registry(server.port, "/mirror").getManifest(app, latest);
  expect(server.requests[0]?.path).toBe("/mirror/v2/team/app/manifests/latest");
});

const sha512 = digestOf(manifest, "sha512");

test.each([
  ["no digest", {}, manifestDigest],
  ["its digest", { "docker-content-digest": manifestDigest }, manifestDigest],
  ["its sha512 digest", { "docker-content-digest": sha512 }, sha512],
  ["a digest of an unsupported algorithm", { "docker-content-digest": "md5:abc" }, manifestDigest],
])("getManifest computes the digest of a response with %s", async (_, headers, digest) => {
  using server = serve(() => manifestResponse(headers));
  expect(await registry(server.port).getManifest(app, latest)).toEqual({
    bytes: manifest,
    manifest: { mediaType: OCI_MANIFEST, manifests: [], blobs: [] },
    digest,
    source: `reg.test:${server.port}`,
  });
});

test("getManifest rejects bytes that do not match the digest", async () => {
  using server = serve(() => manifestResponse({ "docker-content-digest": contentDigest }));
  const subject = registry(server.port);
  expect((await faultOf(subject.getManifest(app, latest))).kind).toBe("upstream-invalid-response");
  expect((await faultOf(subject.getManifest(app, contentDigest))).kind).toBe(
    "upstream-invalid-response",
  );
  // Where a digest was requested, the header does not matter.
  expect((await subject.getManifest(app, manifestDigest)).digest).toBe(manifestDigest);
  expect((await subject.getManifest(app, sha512)).digest).toBe(sha512);
});

test("a manifest over 8 MiB is rejected, with and without Content-Length", async () => {
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
])("a response with status %i becomes the right fault", async (status, detail) => {
  using server = serve(
    () =>
      new Response(status === 204 || status === 304 ? null : "x", {
        status,
        headers: { "retry-after": "7" },
      }),
  );
  expect(await faultOf(registry(server.port).getManifest(app, latest))).toMatchObject(detail);
});

test("a web page with status 200 is rejected as manifest, blob and list", async () => {
  using server = serve(
    () => new Response("<html>", { headers: { "content-type": "text/html; charset=utf-8" } }),
  );
  const subject = registry(server.port);
  const pending = [
    subject.getManifest(app, latest),
    subject.getBlob(app, contentDigest, 0),
    subject.getBlob(app, contentDigest, 5),
    subject.probeBlob(app, contentDigest),
    subject.listTags(app, { n: 10 }),
  ];
  const faults = await Promise.all(pending.map((request) => faultOf(request)));
  expect(faults.map(({ kind }) => kind)).toEqual(pending.map(() => "upstream-invalid-response"));
  // Registries without the referrers API lead to one.
  expect(await subject.referrers(app, manifestDigest)).toBeUndefined();
});

test("the registry is unhealthy while nothing answers, and healthy after a 503", async () => {
  let isDown = true;
  using server = await serveRaw((socket) =>
    isDown
      ? socket.destroy()
      : socket.end("HTTP/1.1 503 X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
  );
  const subject = registry(server.port);
  await faultOf(subject.getManifest(app, latest));
  expect(subject.isUnhealthy).toBe(true);
  isDown = false;
  await faultOf(subject.getManifest(app, latest));
  expect(subject.isUnhealthy).toBe(false);
});

/** Serves ten digits, and parts of them. */
function digits({ headers }: RecordedRequest): Response {
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

test("getBlob fetches a complete blob, its end from an offset, and a range", async () => {
  using server = serve(digits);
  const subject = registry(server.port);
  const whole = await subject.getBlob(app, contentDigest, 0);
  expect([whole.start, whole.size, await text(whole.body)]).toEqual([0, 10, "0123456789"]);
  const rest = await subject.getBlob(app, contentDigest, 4);
  expect([rest.start, rest.size, await text(rest.body)]).toEqual([4, 10, "456789"]);
  const part = await subject.getBlob(app, contentDigest, 0, { end: 3 });
  expect([part.start, part.size, await text(part.body)]).toEqual([0, 10, "012"]);
  expect(server.requests.map(({ headers }) => headers.get("range"))).toEqual([
    null,
    "bytes=4-",
    "bytes=0-2",
  ]);
  expect(server.requests[0]?.path).toBe(`/v2/team/app/blobs/${contentDigest}`);
});

test("getBlob starts at 0 where the registry does not support ranges", async () => {
  using server = serve(() => new Response(content));
  const { start, size, body } = await registry(server.port).getBlob(app, contentDigest, 4);
  expect([start, size, await text(body)]).toEqual([0, 10, "0123456789"]);
});

test("a host that refuses one connection more of a download is asked again by all others", async () => {
  let status = 429;
  using server = serve(({ headers }) =>
    headers.get("range") === "bytes=5-7"
      ? new Response("", { status, headers: { "retry-after": "60" } })
      : new Response(content, { headers: { etag: '"one"', "last-modified": "yesterday" } }),
  );
  const subject = registry(server.port);
  const extra = { end: 8, isExtra: true };
  for (status of [429, 503, 503, 503]) {
    await faultOf(subject.getBlob(app, contentDigest, 5, extra));
  }
  const { body, version } = await subject.getBlob(app, contentDigest, 0);
  expect(await text(body)).toBe("0123456789");
  expect(version).toEqual({ host: `reg.test:${server.port}`, tag: '"one"' });
  expect(subject.status.map(({ circuit }) => circuit)).toEqual(["closed"]);
  status = 429;
  await faultOf(subject.getBlob(app, contentDigest, 5, { end: 8 }));
  expect(await faultOf(subject.getBlob(app, contentDigest, 0))).toMatchObject({
    kind: "upstream-rate-limited",
  });
});

test("getBlob past the end is an invalid range", async () => {
  using server = serve(digits);
  const fault = await faultOf(registry(server.port).getBlob(app, contentDigest, 10));
  expect(fault).toMatchObject({ kind: "invalid-range", size: 10 });
});

test.each([
  ["no Content-Range", undefined],
  ["another offset", "bytes 5-9/10"],
  ["a longer part", "bytes 4-9/10"],
  ["a part past its size", "bytes 4-7/6"],
  ["a malformed range", "bytes 4-x/10"],
  ["another length", "bytes 4-6/10"],
])("a 206 with %s is rejected", async (_, range) => {
  using server = serve(
    () =>
      new Response("4567", {
        status: 206,
        headers: range === undefined ? {} : { "content-range": range },
      }),
  );
  const fault = await faultOf(registry(server.port).getBlob(app, contentDigest, 4, { end: 8 }));
  expect(fault.kind).toBe("upstream-invalid-response");
});

test("a 206 for a request without Range is rejected", async () => {
  using server = serve(
    () => new Response("01", { status: 206, headers: { "content-range": "bytes 0-1/10" } }),
  );
  const fault = await faultOf(registry(server.port).getBlob(app, contentDigest, 0));
  expect(fault.kind).toBe("upstream-invalid-response");
});

test("getBlob of an empty blob has an empty body", async () => {
  using server = serve(() => new Response(""));
  const { size, body } = await registry(server.port).getBlob(app, digestOf(new Uint8Array()), 0);
  expect([size, await text(body)]).toEqual([0, ""]);
});

test("a body that breaks off is a fault, and one without Content-Length is read to its end", async () => {
  using cut = await serveRaw((socket) =>
    socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234"),
  );
  const truncated = await registry(cut.port).getBlob(app, contentDigest, 0);
  expect(truncated.size).toBe(10);
  expect((await faultOf(text(truncated.body))).kind).toBe("upstream-unreachable");
  using endless = serve(() => chunked(content));
  const unknown = await registry(endless.port).getBlob(app, contentDigest, 0);
  expect([unknown.size, await text(unknown.body)]).toEqual([undefined, "0123456789"]);
});

test("probeBlob fetches one byte with GET, through redirects", async () => {
  using cdn = serve(digits);
  using server = serve(() => Response.redirect(`http://cdn.example:${cdn.port}/x`, 307));
  expect(await registry(server.port).probeBlob(app, contentDigest)).toEqual({ size: 10 });
  expect(server.requests.map(({ method }) => method)).toEqual(["GET"]);
  expect(cdn.requests[0]?.headers.get("range")).toBe("bytes=0-0");
});

test("probeBlob distinguishes empty, complete, missing and private blobs", async () => {
  let respond = (): Response =>
    new Response("", { status: 416, headers: { "content-range": "bytes */0" } });
  using server = serve(() => respond());
  const subject = registry(server.port);
  expect(await subject.probeBlob(app, contentDigest)).toEqual({ size: 0 });
  respond = () => new Response(content);
  expect(await subject.probeBlob(app, contentDigest)).toEqual({ size: 10 });
  respond = () => new Response("", { status: 404 });
  expect(await faultOf(subject.probeBlob(app, contentDigest))).toMatchObject({
    kind: "not-found",
    what: "blob",
  });
  respond = () => new Response("", { status: 403 });
  expect((await faultOf(subject.probeBlob(app, contentDigest))).kind).toBe("upstream-denied");
});
