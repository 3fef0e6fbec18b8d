import { expect, test } from "bun:test";
import net from "node:net";
import { makeCertificate } from "../services/certificates.ts";
import { bytesOf, randomContent } from "../images/content.ts";
import * as faults from "../faults/faults.ts";
import { artifact, textImage } from "../images/images.ts";
import { tempDir } from "../temp-dir.ts";
import { realTest } from "../real-components.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./scripted-upstream.ts";
import { failureOf, Gate, until } from "../waiting.ts";

const blob = randomContent(300_000);
const blobPath = `/v2/a/b/blobs/${blob.digest}`;

async function withBlob(): Promise<ScriptedUpstream> {
  const upstream = await startScriptedUpstream();
  upstream.addBlob("a/b", blob);
  return upstream;
}

/** The raw response to a GET, and how the connection ended. */
async function overSocket(
  upstream: ScriptedUpstream,
  path: string,
): Promise<{ text: string; body: Buffer; end: "FIN" | "RST" }> {
  const socket = net.connect(Number(new URL(upstream.url).port), "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<"FIN" | "RST">((resolve) => {
    socket.once("end", () => resolve("FIN"));
    socket.once("error", () => resolve("RST"));
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const end = await ended;
  socket.destroy();
  const all = Buffer.concat(chunks);
  const text = all.toString("latin1");
  return { text, body: all.subarray(text.indexOf("\r\n\r\n") + 4), end };
}

test("an upstream without faults serves images, ranges and lists over one connection", async () => {
  await using upstream = await withBlob();
  const image = textImage();
  const signature = artifact(image);
  upstream.add("a/b", image, "1", "2", "3");
  upstream.add("a/b", signature);
  const get = (path: string, headers = {}) => fetch(`${upstream.url}${path}`, { headers });

  const manifest = await get("/v2/a/b/manifests/1?ns=reg.test");
  expect(await manifest.bytes()).toEqual(image.manifest.bytes);
  expect(manifest.headers.get("docker-content-digest")).toBe(image.manifest.digest);
  const part = await get(blobPath, { range: "bytes=100-199" });
  expect(part.status).toBe(206);
  expect(part.headers.get("content-range")).toBe("bytes 100-199/300000");
  expect(await part.bytes()).toEqual(bytesOf(blob).subarray(100, 200));
  expect((await get(blobPath, { range: "bytes=300000-" })).status).toBe(416);
  const tags = await get("/v2/a/b/tags/list?n=2");
  expect(await tags.json()).toEqual({ name: "a/b", tags: ["1", "2"] });
  expect(tags.headers.get("link")).toBe('</v2/a/b/tags/list?n=2&last=2>; rel="next"');
  const referrers = await (await get(`/v2/a/b/referrers/${image.manifest.digest}`)).text();
  expect(referrers).toContain(signature.manifest.digest);
  expect((await get("/v2/a/b/manifests/none")).status).toBe(404);

  expect(upstream.accepted).toBe(1);
  const [first] = upstream.requests({ kind: "manifest" });
  expect(first).toMatchObject({
    method: "GET",
    target: "/v2/a/b/manifests/1?ns=reg.test",
    repository: "a/b",
    reference: "1",
    nth: 1,
    status: 200,
    sent: image.manifest.size,
    outcome: "complete",
  });
});

test("a body is cut by FIN or RST after exactly the given number of bytes", async () => {
  await using upstream = await withBlob();
  upstream.respond(({ nth }) => faults.cutAfter(100_000, nth === 1 ? "close" : "reset"));
  const closed = await overSocket(upstream, blobPath);
  expect(closed).toMatchObject({ end: "FIN" });
  expect(closed.text).toContain("Content-Length: 300000");
  expect(closed.body.equals(bytesOf(blob).subarray(0, 100_000))).toBe(true);
  const reset = await overSocket(upstream, blobPath);
  expect(reset.end).toBe("RST");
  expect(reset.body.byteLength).toBe(100_000);
  expect(upstream.requests().map(({ outcome, sent }) => [outcome, sent])).toEqual([
    ["cut", 100_000],
    ["cut", 100_000],
  ]);
  upstream.respond(() => ({ hangUp: "close" }));
  expect(await overSocket(upstream, blobPath)).toMatchObject({ end: "FIN", text: "" });
});

test("a response stalls before its headers or in mid-body until it is released", async () => {
  await using upstream = await withBlob();
  const gate = new Gate();
  upstream.respond(() => ({ hold: gate.opened }));
  let hasResponse = false;
  const pending = fetch(upstream.url + blobPath).finally(() => (hasResponse = true));
  await until(() => upstream.requests().length === 1, { what: "the request" });
  expect(hasResponse).toBe(false);
  gate.open();
  expect((await (await pending).bytes()).length).toBe(blob.size);

  upstream.respond(() => faults.stallAfter(1000));
  const stalled = fetch(upstream.url + blobPath).then((response) => response.bytes());
  await until(() => upstream.requests()[1]?.sent === 1000, { what: "the first bytes" });
  upstream.release();
  expect((await stalled).length).toBe(blob.size);

  upstream.respond(() => faults.neverResponds);
  const signal = AbortSignal.timeout(100);
  await failureOf(fetch(upstream.url + blobPath, { signal }));
  await until(() => upstream.requests()[2]?.outcome === "gone", {
    what: "the client to disconnect",
  });
});

test("faults falsify bytes, lengths, ranges, digests and media types", async () => {
  await using upstream = await withBlob();
  const correct = bytesOf(blob);
  const get = async (fault: faults.Fault, headers = {}) => {
    upstream.respond(() => fault);
    const response = await fetch(upstream.url + blobPath, { headers });
    return { response, bytes: await response.bytes() };
  };
  const flipped = await get({ flipBitAt: 250_000 });
  const differing = [...flipped.bytes.keys()].filter((at) => flipped.bytes[at] !== correct[at]);
  expect(differing).toEqual([250_000]);
  const short = await get({ shortenBy: 10 });
  expect(short.response.headers.get("content-length")).toBe("299990");
  const full = await get(faults.noRanges, { range: "bytes=5-" });
  expect([full.response.status, full.bytes.length]).toEqual([200, 300_000]);
  const chunked = await get({ framing: "chunked" });
  expect(chunked.response.headers.has("content-length")).toBe(false);
  expect(chunked.bytes).toEqual(correct);
  const page = await get(faults.htmlPage);
  expect(page.response.headers.get("content-type")).toStartWith("text/html");
  const claimed = await get(faults.claims({ digest: "sha256:beef", type: "text/plain" }));
  expect(claimed.response.headers.get("docker-content-digest")).toBe("sha256:beef");
  const withoutDigest = await get(faults.noDigestHeader);
  expect(withoutDigest.response.headers.has("docker-content-digest")).toBe(false);

  upstream.respond(() => ({ contentLength: 300_500 }));
  expect((await overSocket(upstream, blobPath)).body.byteLength).toBe(300_000);
});

test("faults respond with errors and redirects, and limit the rate of a body", async () => {
  await using upstream = await withBlob();
  const get = async (fault: faults.Fault, method = "GET") => {
    upstream.respond(() => fault);
    return fetch(upstream.url + blobPath, { method, redirect: "manual" });
  };
  const limited = await get(faults.tooManyRequests("7"));
  expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "7"]);
  const challenge = 'Bearer realm="http://127.0.0.1:1/token",service="x"';
  const refused = await get(faults.unauthorized(challenge), "HEAD");
  expect([refused.status, refused.headers.get("www-authenticate")]).toEqual([401, challenge]);
  const moved = await get(faults.redirect("http://elsewhere.test/x"));
  expect([moved.status, moved.headers.get("location")]).toEqual([307, "http://elsewhere.test/x"]);

  upstream.addFile("/cdn/object", blob);
  upstream.respond(({ kind }) => (kind === "blob" ? faults.redirect("/cdn/object") : undefined));
  expect((await (await fetch(upstream.url + blobPath)).bytes()).length).toBe(blob.size);

  const startedAt = performance.now();
  expect((await (await get(faults.slow(1_000_000))).bytes()).length).toBe(blob.size);
  expect(performance.now() - startedAt).toBeGreaterThan(250);
});

realTest(
  "a stopped upstream refuses connections, and restarts on the same port with HTTPS",
  async () => {
    await using dir = await tempDir();
    const certificate = await makeCertificate(dir);
    await using upstream = await startScriptedUpstream({ certificate });
    const ping = () => fetch(`${upstream.url}/v2/`, { tls: { ca: certificate.certificate } });
    expect((await ping()).status).toBe(200);
    await upstream.stop();
    await failureOf(ping());
    await upstream.start();
    expect((await ping()).status).toBe(200);
  },
);
