import { expect, test } from "bun:test";
import net from "node:net";
import nodeTls from "node:tls";
import { makeCertificateAuthority } from "./harness/services/certificate-authority.ts";
import { randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;
/** What the sockets of both sides, and Bun for TLS, take of a response that nobody reads. */
const IN_BUFFERS = 12 * MIB;

/** A cache with a blob of 64 MiB, over HTTP or TLS. */
async function setUp(scheme: "http" | "https") {
  const closing = new AsyncDisposableStack();
  const upstream = closing.use(await startScriptedUpstream());
  const upstreams = { "reg.test": localUpstream(upstream.url) };
  const dir = closing.use(await tempDir("sent"));
  const authority = await makeCertificateAuthority(dir);
  const { certificateFile, keyFile } = await authority.sign("cache", "IP:127.0.0.1");
  const tls = { tls: { certificate: certificateFile, key: keyFile } };
  const config = { upstreams, ...(scheme === "https" ? tls : {}) };
  const cache = closing.use(await startEntrepot({ config }));
  const blob = randomContent(SIZE);
  upstream.addBlob("app", blob);
  const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  const init = { tls: { rejectUnauthorized: false } };
  await (await cache.get(path, init)).bytes();
  expect(await sentBytes(cache, 1)).toBe(SIZE);
  /** Reads so many bytes of a response, then closes the connection. */
  const readSome = (bytes: number, range?: string) =>
    new Promise<void>((resolve, reject) => {
      const [host = "", port = ""] = cache.address.split(":");
      const options = { host, port: Number(port), rejectUnauthorized: false };
      const socket = scheme === "https" ? nodeTls.connect(options) : net.connect(options);
      const rangeLine = range === undefined ? "" : `Range: ${range}\r\n`;
      socket.write(`GET ${path} HTTP/1.1\r\nHost: cache\r\n${rangeLine}\r\n`);
      let received = 0;
      socket.on("data", (chunk) => {
        received += chunk.length;
        if (received >= bytes) socket.destroy();
      });
      socket.on("close", () => resolve());
      socket.on("error", reject);
    });
  return { cache, path, init, readSome, [Symbol.asyncDispose]: () => closing.disposeAsync() };
}

/** What the metrics say was sent, once so many requests have ended. */
function sentBytes(cache: Entrepot, requests: number): Promise<number> {
  const sum = (text: string, metric: string): number =>
    [...text.matchAll(new RegExp(`^${metric}\\{.*\\} (\\d+)$`, "gm"))].reduce(
      (total, [, value]) => total + Number(value),
      0,
    );
  return until(
    async () => {
      const text = await (await cache.getAdmin("/metrics")).text();
      const hasEnded = sum(text, "entrepot_requests_total") === requests;
      return hasEnded && sum(text, "entrepot_response_bytes_total");
    },
    { what: `the end of ${requests} requests` },
  );
}

for (const scheme of ["http", "https"] as const) {
  test(`over ${scheme}, a client that leaves early counts as far as it was sent something`, async () => {
    await using at = await setUp(scheme);
    const cuts: [number, string | undefined][] = [
      [MIB, "bytes=0-"],
      [2 * MIB, `bytes=${8 * MIB}-`],
      [24 * MIB, `bytes=${16 * MIB}-`],
      [MIB, undefined],
      [40 * MIB, undefined],
    ];
    let before = SIZE;
    for (const [turn, [bytes, range]] of cuts.entries()) {
      await at.readSome(bytes, range);
      const sent = await sentBytes(at.cache, 2 + turn);
      expect(sent - before).toBeGreaterThan(bytes - MIB);
      expect(sent - before).toBeLessThan(bytes + IN_BUFFERS);
      before = sent;
    }

    // Eight at a time, as containerd 2.1 does it: each leaves after its part of the blob.
    const parts = Array.from({ length: 8 }, (_, part) => `bytes=${part * 2 * MIB}-`);
    await Promise.all(parts.map((range) => at.readSome(2 * MIB, range)));
    const sent = (await sentBytes(at.cache, 1 + cuts.length + parts.length)) - before;
    expect(sent).toBeGreaterThan(parts.length * 2 * MIB);
    expect(sent).toBeLessThan(parts.length * (2 * MIB + IN_BUFFERS));
  });

  test(`over ${scheme}, complete responses count exactly, and HEAD and 304 count nothing`, async () => {
    await using at = await setUp(scheme);
    const range = `bytes=${SIZE - 10 * MIB}-`;
    await Promise.all([
      at.cache.get(at.path, at.init).then((response) => response.bytes()),
      at.cache
        .get(at.path, { ...at.init, headers: { range } })
        .then((response) => response.bytes()),
      at.cache.head(at.path, at.init),
    ]);
    const { headers } = await at.cache.head(at.path, at.init);
    const known = { "if-none-match": headers.get("etag") ?? "" };
    expect((await at.cache.get(at.path, { ...at.init, headers: known })).status).toBe(304);
    const missing = await at.cache.get("/v2/app/blobs/sha256:0?ns=reg.test", at.init);
    const errorSize = (await missing.bytes()).length;
    const sizes = [0, 0, 0, errorSize, 10 * MIB, SIZE, SIZE];
    expect(await sentBytes(at.cache, sizes.length)).toBe(sizes.reduce((sum, size) => sum + size));
    const logged = () =>
      at.cache.logs().flatMap((line) => (line["msg"] === "request" ? Number(line["bytes"]) : []));
    await until(() => logged().length === sizes.length, { what: "all requests in the log" });
    expect(logged().toSorted((one, other) => one - other)).toEqual(sizes);
  });
}

test("what is passed on without being stored counts, whether it was in memory or streamed", async () => {
  await using upstream = await startScriptedUpstream();
  const settings = { ...localUpstream(upstream.url), bypass: ["app"] };
  await using cache = await startEntrepot({ config: { upstreams: { "reg.test": settings } } });
  const blobs = [300_000, 4 * MIB].map((size) => randomContent(size, size));
  for (const blob of blobs) {
    upstream.addBlob("app", blob);
    await (await cache.get(`/v2/app/blobs/${blob.digest}?ns=reg.test`)).bytes();
  }
  expect(await sentBytes(cache, blobs.length)).toBe(300_000 + 4 * MIB);
});
