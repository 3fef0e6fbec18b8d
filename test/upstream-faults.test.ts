import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { bytesOf, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { SharedCache, type SharedUpstream } from "./harness/cache/shared-cache.ts";
import * as faults from "./harness/faults/faults.ts";
import { textImage } from "./harness/images/images.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { storedBlobs, unfinishedFills, verifyStore } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

let upstream: ScriptedUpstream;
let cache: Entrepot;
let seed = 100;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(upstream.url) } },
  });
});

afterEach(async () => {
  upstream.respond();
  upstream.release();
  upstream.forget();
  await verifyStore(cache.data);
});

afterAll(async () => {
  await cache[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

const others = new SharedCache();

/** The digests of the manifests that its tests may store: of everything else, nothing may be. */
const offered = new Set<string>();

/** What else is stored there. */
async function storedBesides({ cache: { data } }: SharedUpstream): Promise<string[]> {
  const stored = await verifyStore(data);
  return stored.filter((digest) => !offered.has(digest));
}

/** The same upstream by another name, of which no earlier failure is remembered. */
function freshName(): Promise<SharedUpstream> {
  return others.add(localUpstream(upstream.url));
}

/** A blob that the cache does not have yet. */
function freshBlob(size: number) {
  seed += 1;
  const blob = randomContent(size, seed);
  upstream.addBlob("app", blob);
  const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  return {
    blob,
    rest: `app/blobs/${blob.digest}`,
    bytes: bytesOf(blob),
    path,
    get: () => cache.get(path),
  };
}

/** By the upstream, since the last test. */
function bytesSent(): number {
  return upstream.requests().reduce((sum, { sent }) => sum + sent, 0);
}

async function isStored(digest: string): Promise<boolean> {
  const stored = await storedBlobs(cache.data);
  return stored.some((one) => one.digest === digest);
}

interface RawResponse {
  readonly status: number;
  readonly body: Buffer;
  readonly end: "FIN" | "RST";
}

/** The raw response that a runtime receives, and how the connection ends. */
async function overSocket(path: string): Promise<RawResponse> {
  const [host = "", port = ""] = cache.address.split(":");
  const socket = connect(Number(port), host);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  const end = new Promise<"FIN" | "RST">((resolve) => {
    socket.once("end", () => resolve("FIN"));
    socket.once("error", () => resolve("RST"));
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: cache.test\r\n\r\n`);
  const ending = await end;
  socket.destroy();
  const all = Buffer.concat(chunks);
  const split = all.indexOf("\r\n\r\n");
  const status = Number(all.subarray(9, 12).toString());
  return { status, body: all.subarray(split + 4), end: ending };
}

describe("before the first byte of a body, a client gets an error for", () => {
  const cases: [string, faults.Fault, number, string][] = [
    ["an HTML page with 200", faults.htmlPage, 502, "web page"],
    ["401 without a challenge", faults.errorResponse(401), 403, "401"],
    ["403", faults.errorResponse(403), 403, "403"],
    ["404", faults.errorResponse(404), 404, "has no blob"],
    ["429", faults.tooManyRequests("7"), 503, "429"],
    ["500", faults.errorResponse(500), 502, "500"],
    ["503", faults.errorResponse(503), 502, "503"],
    ["a redirect loop", faults.redirect("/v2/app/loop"), 502, "redirect"],
    ["a redirect to nowhere", faults.redirect("http://0.0.0.0:1/"), 502, "0.0.0.0"],
    ["a connection that is reset", { hangUp: "reset" }, 502, "reg.test"],
    ["a flipped bit", { flipBitAt: 1000 }, 502, "do not match the digest"],
    ["a body that is too short", { shortenBy: 10 }, 502, "do not match the digest"],
    ["a body that is longer than its Content-Length", { contentLength: 99_000 }, 502, "digest"],
  ];
  test.each(cases)(
    "%s",
    async (_, fault, status, message) => {
      const { rest } = freshBlob(100_000);
      using fresh = await freshName();
      upstream.respond(() => fault);
      const response = await fresh.cache.get(fresh.path(rest));
      const text = await response.text();
      const expected = message.replace("reg.test", fresh.name);
      expect([response.status, text]).toEqual([status, expect.stringContaining(expected)]);
      expect(response.headers.get("content-type")).toBe("application/json");
      expect(response.headers.get("www-authenticate")).toBeNull();
      expect(await storedBesides(fresh)).toEqual([]);
    },
    30_000,
  );

  test("a failed blob, from the negative cache for five seconds, and then gets the blob", async () => {
    const { get } = freshBlob(100_000);
    upstream.respond(() => faults.errorResponse(500));
    for (let i = 0; i < 5; i += 1) expect((await get()).status).toBe(502);
    expect(upstream.requests().length).toBe(1);
    upstream.respond();
    const arrived = async () => {
      const response = await get();
      return response.status === 200 && response.bytes();
    };
    const bytes = await until(arrived, { what: "the blob", within: 20_000 });
    expect(bytes.length).toBe(100_000);
  }, 30_000);

  test("a missing blob, from the negative cache after the first request", async () => {
    const { get } = freshBlob(100_000);
    upstream.respond(() => faults.errorResponse(404));
    for (let i = 0; i < 5; i += 1) expect((await get()).status).toBe(404);
    expect(upstream.requests().length).toBe(1);
  });

  test("429, with Retry-After", async () => {
    const { rest } = freshBlob(1000);
    using fresh = await freshName();
    upstream.respond(() => faults.tooManyRequests("7"));
    const response = await fresh.cache.get(fresh.path(rest));
    expect(response.headers.get("retry-after")).toBe("7");
    expect(await response.json()).toMatchObject({ errors: [{ code: "TOOMANYREQUESTS" }] });
  });

  test("an upstream that stalls before its headers, within 20 s", async () => {
    const { get } = freshBlob(100_000);
    upstream.respond(() => faults.neverResponds);
    const started = performance.now();
    const response = await get();
    expect(response.status).toBe(504);
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(await response.text()).toContain("reg.test did not");
  }, 30_000);
});

describe("a manifest", () => {
  const cases: [string, faults.Fault][] = [
    ["that is HTML", faults.htmlPage],
    ["with a flipped bit", { flipBitAt: 20 }],
    ["with a wrong digest header", faults.claims({ digest: `sha256:${"0".repeat(64)}` })],
    [
      "with a media type that its body contradicts",
      faults.claims({ type: "application/vnd.oci.image.index.v1+json" }),
    ],
    ["of schema 1", { body: '{"schemaVersion":1,"name":"app"}' }],
    ["that is too long", { body: " ".repeat(9 * MIB) }],
  ];
  test.each(cases)("%s is refused and not stored", async (name, fault) => {
    const image = textImage({ text: `a manifest ${name}` });
    offered.add(image.manifest.digest);
    upstream.add("app", image, "faulty");
    upstream.respond(({ kind }) => (kind === "manifest" ? fault : undefined));
    using fresh = await freshName();
    for (const reference of [image.manifest.digest, "faulty"]) {
      const response = await fresh.cache.get(fresh.path(`app/manifests/${reference}`));
      const outcome = [response.status, (await response.text()).includes("UNAVAILABLE")];
      // A wrong header does not make bytes invalid that were requested by their digest.
      if (response.status !== 200) expect(outcome).toEqual([502, true]);
      else expect(response.headers.get("docker-content-digest")).toBe(image.manifest.digest);
    }
    expect(await storedBesides(fresh)).toEqual([]);
  });
});

describe("in the middle of a large blob", () => {
  test("a transfer that breaks off resumes, and less than 2 % is fetched twice", async () => {
    const { blob, bytes, get } = freshBlob(50 * MIB);
    upstream.respond(({ nth }) => (nth <= 3 ? faults.cutAfter(12 * MIB) : undefined));
    const response = await get();
    expect(response.status).toBe(200);
    expect(await response.bytes()).toEqual(bytes);
    expect(bytesSent()).toBeLessThan(blob.size * 1.02);
    await until(() => isStored(blob.digest), { what: "the blob to be stored" });
  }, 30_000);

  test("a transfer that is reset resumes", async () => {
    const { bytes, get } = freshBlob(20 * MIB);
    upstream.respond(({ nth }) => (nth <= 3 ? faults.cutAfter(5 * MIB, "reset") : undefined));
    expect(await (await get()).bytes()).toEqual(bytes);
  }, 30_000);

  test("a transfer from an upstream without ranges resumes by skipping what is stored", async () => {
    const { bytes, get } = freshBlob(10 * MIB);
    upstream.respond(({ nth }) => (nth === 1 ? faults.cutAfter(5 * MIB) : { ...faults.noRanges }));
    expect(await (await get()).bytes()).toEqual(bytes);
  }, 30_000);

  test("a client that disconnects does not end the fill", async () => {
    const { blob, get } = freshBlob(30 * MIB);
    upstream.respond(() => faults.slow(60 * MIB));
    const response = await get();
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await until(() => isStored(blob.digest), { what: "the blob to be stored" });
    expect(bytesSent()).toBe(blob.size);
  }, 30_000);

  test("a digest mismatch closes the connection without the terminating chunk", async () => {
    const { blob, path } = freshBlob(10 * MIB);
    upstream.respond(() => ({ flipBitAt: 9 * MIB }));
    const response = await overSocket(path);
    expect([response.status, response.end]).toEqual([200, "FIN"]);
    expect(response.body.length).toBeLessThan(blob.size);
    expect(response.body.subarray(-5).toString()).not.toBe("0\r\n\r\n");
    expect(await isStored(blob.digest)).toBe(false);
    // The client's connection may close before the file is deleted.
    const isGone = async () => (await unfinishedFills(cache.data)).length === 0;
    await until(isGone, { what: "the wrong bytes to be deleted" });
  }, 30_000);

  test("a fill that fails closes the connection, and the next request resumes it", async () => {
    const { blob, bytes, path, get } = freshBlob(10 * MIB);
    upstream.respond(({ nth }) =>
      nth === 1 ? faults.cutAfter(6 * MIB) : faults.errorResponse(404),
    );
    const response = await overSocket(path);
    expect([response.status, response.end]).toEqual([200, "FIN"]);
    upstream.respond();
    upstream.forget();
    expect(await (await get()).bytes()).toEqual(bytes);
    const [range] = upstream.requests().map(({ headers }) => headers.get("range"));
    expect(Number(range?.match(/\d+/)?.[0])).toBeGreaterThan(5 * MIB);
    await until(() => isStored(blob.digest), { what: "the blob to be stored" });
  }, 60_000);

  test("a range near the fill is served from it, and one far ahead is fetched at once and kept", async () => {
    const { blob, bytes, path } = freshBlob(40 * MIB);
    upstream.respond(({ nth }) => (nth === 1 ? faults.stallAfter(MIB) : undefined));
    const range = async (from: number, to?: number) => {
      const response = await cache.get(path, { headers: { range: `bytes=${from}-${to ?? ""}` } });
      expect(response.status).toBe(206);
      return response;
    };
    const near = await range(0, 99_999);
    expect(await near.bytes()).toEqual(bytes.subarray(0, 100_000));
    const far = await range(30 * MIB, 30 * MIB + 99_999);
    expect(await far.bytes()).toEqual(bytes.subarray(30 * MIB, 30 * MIB + 100_000));
    const last = await range(39 * MIB);
    expect(await last.bytes()).toEqual(bytes.subarray(39 * MIB));
    upstream.release();
    await until(() => isStored(blob.digest), { what: "the blob to be stored" });
    expect(bytesSent()).toBe(blob.size);
  }, 30_000);
});
