import { expect, test } from "bun:test";
import { contentOf, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { storedBlobs } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

/** The parts of a multipart/byteranges body: their ranges, and whether their bytes are the blob's. */
async function partsOf(response: Response, blob: Uint8Array): Promise<[string, boolean][]> {
  const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(
    response.headers.get("content-type") ?? "",
  )?.[1];
  const body = Buffer.from(await response.arrayBuffer());
  const end = `\r\n--${boundary}--\r\n`;
  expect(body.subarray(-end.length).toString()).toBe(end);
  const parts: [string, boolean][] = [];
  let at = 0;
  while (at < body.length - end.length) {
    const bodyStart = body.indexOf("\r\n\r\n", at) + 4;
    const head = body.subarray(at, bodyStart).toString();
    expect(head.trimStart().startsWith(`--${boundary}\r\n`)).toBe(true);
    const [, range = "", first, last] =
      /Content-Range: bytes ((\d+)-(\d+)\/\d+)\r/.exec(head) ?? [];
    const expected = blob.subarray(Number(first), Number(last) + 1);
    at = bodyStart + expected.byteLength;
    parts.push([range, body.subarray(bodyStart, at).equals(expected)]);
  }
  return parts;
}

/** Sends a request with a Range header of any length; Bun's fetch has no limit for those. */
function getRanges(cache: Entrepot, path: string, range: string): Promise<Response> {
  return cache.get(path, { headers: { range } });
}

test("several ranges of a stored blob come as multipart/byteranges, also 1024 of them", async () => {
  await using upstream = await startScriptedUpstream();
  await using cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(upstream.url) } },
  });
  const bytes = new Uint8Array(6 * MIB);
  for (const [at] of bytes.entries()) bytes[at] = (at * 31 + (at >> 8)) & 0xff;
  const blob = contentOf(bytes, "application/octet-stream");
  upstream.addBlob("app", blob);
  const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  await (await cache.get(path)).arrayBuffer();
  // A client may have all of a blob before it is stored, and a large one comes as a whole until then.
  await until(async () => (await storedBlobs(cache.data)).length === 1, { what: "the blob" });

  const two = await getRanges(cache, path, "bytes=5000000-5999999,10-19,20-29,-5");
  expect(two.status).toBe(206);
  expect(two.headers.get("content-range")).toBeNull();
  expect(await partsOf(two, bytes)).toEqual([
    [`5000000-5999999/${6 * MIB}`, true],
    [`10-19/${6 * MIB}`, true],
    [`20-29/${6 * MIB}`, true],
    [`${6 * MIB - 5}-${6 * MIB - 1}/${6 * MIB}`, true],
  ]);
  // As long as they are in a layer of gigabytes: 32 KB of header.
  const long = Array.from({ length: 1024 }, (_, at) => {
    const first = String(at * 5000).padStart(15, "0");
    return `${first}-${String(at * 5000 + 99).padStart(15, "0")}`;
  });
  const many = await getRanges(cache, path, `bytes=${long.join()}`);
  expect(many.status).toBe(206);
  const parts = await partsOf(many, bytes);
  expect(parts).toHaveLength(1024);
  expect(parts.every(([, isRight]) => isRight)).toBe(true);

  const one = await getRanges(cache, path, `bytes=0-9,5-19,${7 * MIB}-`);
  expect([one.status, one.headers.get("content-range")]).toEqual([206, `bytes 0-19/${6 * MIB}`]);
  for (const range of [
    `bytes=${7 * MIB}-,${8 * MIB}-`,
    "bytes=0-1,x",
    `bytes=${"0-0,".repeat(1025)}`,
  ]) {
    const whole = await getRanges(cache, path, range);
    expect(whole.status).toBe(200);
    expect(blob.bytes).toEqual(new Uint8Array(await whole.arrayBuffer()));
  }
  const conditional = { range: "bytes=0-1,5-6", "if-range": '"other"' };
  expect((await cache.get(path, { headers: conditional })).status).toBe(200);
  const head = await cache.head(path, { headers: { range: "bytes=0-1,5-6" } });
  expect([head.status, head.headers.get("content-length")]).toEqual([200, String(6 * MIB)]);
});

test("of a blob that is being downloaded, several ranges get the whole", async () => {
  await using upstream = await startScriptedUpstream();
  await using cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(upstream.url) } },
  });
  const blob = randomContent(8 * MIB);
  upstream.addBlob("app", blob);
  upstream.respond(() => faults.stallAfter(5 * MIB));
  const path = `/v2/app/blobs/${blob.digest}?ns=reg.test`;
  const response = await getRanges(cache, path, "bytes=0-1,5000-5001");
  expect([response.status, response.headers.get("content-range")]).toEqual([200, null]);
  await until(() => upstream.requests({ kind: "blob" })[0]?.sent === 5 * MIB, { what: "5 MiB" });
  upstream.release();
  expect((await response.arrayBuffer()).byteLength).toBe(8 * MIB);
});
