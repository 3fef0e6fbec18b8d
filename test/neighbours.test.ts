import { expect, test } from "bun:test";
import {
  bytesOf,
  type Content,
  contentOf,
  descriptor,
  randomContent,
} from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { type Image, textImage } from "./harness/images/images.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { unfinishedFills, verifyStore } from "./harness/cache/store-files.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { Gate, until } from "./harness/waiting.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Two registries that both have a layer, and a cache of both. */
async function setUp(layer: Content, data?: string) {
  const [odd, honest] = await Promise.all([startScriptedUpstream(), startScriptedUpstream()]);
  for (const upstream of [odd, honest]) upstream.addBlob("app", layer);
  const upstreams = {
    "odd.test": localUpstream(odd.url),
    "honest.test": localUpstream(honest.url),
  };
  const start = (): Promise<Entrepot> =>
    startEntrepot({ config: { storage: { scrub: 0 }, upstreams }, ...(data ? { data } : {}) });
  const cache = await start();
  return {
    odd,
    honest,
    cache,
    start,
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]();
      await Promise.all([odd, honest].map((upstream) => upstream[Symbol.asyncDispose]()));
    },
  };
}

const pathOf = ({ digest }: Content, registry: string) => `/v2/app/blobs/${digest}?ns=${registry}`;

function downloads(upstream: ScriptedUpstream, { digest }: Content): number {
  return upstream.requests({ method: "GET", reference: digest }).length;
}

/** Reads a body until it ends or is cut off. */
async function readAll(response: Response) {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of response.body ?? []) chunks.push(chunk);
    return { bytes: Buffer.concat(chunks), isCut: false };
  } catch {
    return { bytes: Buffer.concat(chunks), isCut: true };
  }
}

/** What a client gets: the status, and whether the body is the content. */
async function outcome(response: Response | Promise<Response>, content: Content) {
  const answered = await response;
  return [answered.status, Buffer.compare(await answered.bytes(), bytesOf(content)) === 0];
}

/** An image whose manifest claims another size for its layer than the layer has. */
function imageClaiming(layer: Content, size: number): Image {
  const { manifest, blobs } = textImage();
  const [config] = blobs;
  if (!config) throw new Error("an image has a config");
  const { mediaType } = manifest;
  const layers = [{ ...descriptor(layer), size }];
  const json = { schemaVersion: 2, mediaType, config: descriptor(config), layers };
  return { manifest: contentOf(json, mediaType), blobs: [config, layer], children: [] };
}

test("a registry that stalls in a shared layer holds only its own clients, until another has sent it", async () => {
  const layer = randomContent(8 * MIB, 1);
  await using at = await setUp(layer);
  at.odd.respond(() => faults.stallAfter(MIB));
  const stalled = await at.cache.get(pathOf(layer, "odd.test"));
  expect(stalled.status).toBe(200);
  const honest = await at.cache.get(pathOf(layer, "honest.test"));
  expect(Buffer.compare(await honest.bytes(), bytesOf(layer))).toBe(0);
  // Its own clients go on from what the other registry has sent.
  expect(Buffer.compare(await stalled.bytes(), bytesOf(layer))).toBe(0);
  expect([downloads(at.odd, layer), downloads(at.honest, layer)]).toEqual([1, 1]);
  expect(await verifyStore(at.cache.data)).toEqual([layer.digest]);
  await until(async () => (await unfinishedFills(at.cache.data)).length === 0, {
    what: "the partial download to be deleted",
  });
});

test.each([
  ["before its response", 0],
  ["in the middle of it", 100 * KIB],
])(
  "a registry that stalls with a small blob %s makes its clients wait for the first that has it",
  async (...row) => {
    const [, sent] = row;
    const blob = randomContent(300 * KIB, 6);
    await using at = await setUp(blob);
    at.odd.respond(() => (sent === 0 ? faults.neverResponds : faults.stallAfter(sent)));
    const waiting = at.cache.get(pathOf(blob, "odd.test"));
    await until(() => downloads(at.odd, blob) === 1, { what: "the first download" });
    at.odd.respond();
    expect(await outcome(at.cache.get(pathOf(blob, "honest.test")), blob)).toEqual([200, true]);
    const response = await waiting;
    expect(response.headers.get("content-length")).toBe(String(blob.size));
    expect(await outcome(response, blob)).toEqual([200, true]);
  },
);

test("what another registry has sent is not shown where the own one says that it is missing", async () => {
  const blob = randomContent(300 * KIB, 7);
  await using at = await setUp(blob);
  at.odd.respond(() => faults.neverResponds);
  const waiting = at.cache.get(pathOf(blob, "odd.test"));
  await until(() => downloads(at.odd, blob) === 1, { what: "the first download" });
  at.odd.respond(() => faults.errorResponse(404, "BLOB_UNKNOWN"));
  expect(await outcome(at.cache.get(pathOf(blob, "honest.test")), blob)).toEqual([200, true]);
  expect(await outcome(waiting, blob)).toEqual([404, false]);
});

test("a registry that stalls with a manifest as a blob does not hold the pull of that manifest", async () => {
  const image = textImage();
  const { manifest } = image;
  await using at = await setUp(manifest);
  at.honest.add("app", image, "1");
  at.odd.respond(() => faults.stallAfter(100));
  const waiting = at.cache.get(pathOf(manifest, "odd.test"));
  await until(() => at.odd.requests()[0]?.sent === 100, { what: "100 bytes" });
  const pulled = at.cache.get("/v2/app/manifests/1?ns=honest.test");
  expect(await outcome(pulled, manifest)).toEqual([200, true]);
  expect(await outcome(waiting, manifest)).toEqual([200, true]);
});

test("wrong bytes of one registry reach no client of another, and its own are cut off", async () => {
  const layer = randomContent(8 * MIB, 2);
  await using at = await setUp(layer);
  at.odd.respond(() => ({ ...faults.stallAfter(2 * MIB), flipBitAt: 1000 }));
  const wrong = await at.cache.get(pathOf(layer, "odd.test"));
  const received = readAll(wrong);
  const honest = await at.cache.get(pathOf(layer, "honest.test"));
  expect(Buffer.compare(await honest.bytes(), bytesOf(layer))).toBe(0);
  expect((await received).bytes.length).toBeLessThan(layer.size);
  const line = await at.cache.logged("download failed");
  expect(line).toMatchObject({ source: "odd.test/app" });
  expect(line["error"]).toContain("do not match the digest");
  expect(await verifyStore(at.cache.data)).toEqual([layer.digest]);
});

test.each([
  ["too small", (size: number) => size - 1000],
  ["too large", (size: number) => size + 1000],
  ["larger than any disk", () => 2 ** 50],
])("a size that one registry announces is not another's: %s", async (_, lie) => {
  const layer = randomContent(6 * MIB, 3);
  await using at = await setUp(layer);
  at.odd.respond(() => ({ ...faults.stallAfter(MIB), contentLength: lie(layer.size) }));
  const own = at.cache.get(pathOf(layer, "odd.test")).then(readAll);
  await until(() => downloads(at.odd, layer) > 0, { what: "the first download" });
  for (const range of [undefined, `bytes=100-${layer.size - 1}`]) {
    const response = await at.cache.get(
      pathOf(layer, "honest.test"),
      range === undefined ? {} : { headers: { range } },
    );
    const expected = bytesOf(layer).subarray(range === undefined ? 0 : 100);
    expect(Buffer.compare(await response.bytes(), expected)).toBe(0);
  }
  expect(await verifyStore(at.cache.data)).toEqual([layer.digest]);
  const { bytes, isCut } = await own;
  // An error, a body that was cut, or the right bytes: never a complete body with other ones.
  if (!isCut && bytes.length >= layer.size) {
    expect(Buffer.compare(bytes, bytesOf(layer))).toBe(0);
  }
  // The store was never taken for full.
  const metrics = await (await at.cache.getAdmin("/metrics")).text();
  expect(metrics).toContain("entrepot_storage_full 0");
});

test.each([-1, 1, 100 * MIB])(
  "a size that one registry's manifest claims is not another's: %d bytes more",
  async (more) => {
    const layer = randomContent(6 * MIB, 8);
    await using at = await setUp(layer);
    at.odd.add("app", imageClaiming(layer, layer.size + more), "1");
    await (await at.cache.get("/v2/app/manifests/1?ns=odd.test")).bytes();
    at.odd.respond(() => faults.neverResponds);
    const waiting = at.cache.get(pathOf(layer, "odd.test"));
    await until(() => downloads(at.odd, layer) === 1, { what: "the first download" });
    at.odd.respond();
    expect(await outcome(at.cache.get(pathOf(layer, "honest.test")), layer)).toEqual([200, true]);
    expect(await outcome(waiting, layer)).toEqual([200, true]);
    expect((await at.cache.logged("download failed"))["error"]).toContain(
      `${layer.size + more} bytes were announced for ${layer.digest}`,
    );
  },
);

test("a size that one repository's manifest claims is not that of another repository", async () => {
  const layer = randomContent(6 * MIB, 9);
  await using at = await setUp(layer);
  const gate = new Gate();
  at.odd.add("liar", imageClaiming(layer, 1000), "1");
  await (await at.cache.get("/v2/liar/manifests/1?ns=odd.test")).bytes();
  at.odd.respond(() => ({ hold: gate.opened }));
  const lied = at.cache.get(`/v2/liar/blobs/${layer.digest}?ns=odd.test`);
  await until(() => downloads(at.odd, layer) === 1, { what: "the first download" });
  const joined = at.cache.get(pathOf(layer, "odd.test"));
  // The response to a third request shows that the second has been accepted before it.
  expect((await at.cache.get("/v2/")).status).toBe(200);
  gate.open();
  expect(await outcome(joined, layer)).toEqual([200, true]);
  expect((await lied).status).toBe(502);
});

test("twenty clients of each of two registries cause one download from each", async () => {
  const layer = randomContent(6 * MIB, 4);
  await using at = await setUp(layer);
  for (const upstream of [at.odd, at.honest]) upstream.respond(() => faults.slow(6 * MIB));
  const bodies = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const registry = i % 2 === 0 ? "odd.test" : "honest.test";
      return (await at.cache.get(pathOf(layer, registry))).bytes();
    }),
  );
  for (const bytes of bodies) expect(Buffer.compare(bytes, bytesOf(layer))).toBe(0);
  expect([downloads(at.odd, layer), downloads(at.honest, layer)]).toEqual([1, 1]);
});

test("after kill -9, each registry's partial download is resumed from that registry", async () => {
  const layer = randomContent(8 * MIB, 5);
  await using dir = await tempDir("data");
  await using at = await setUp(layer, dir.file("d"));
  at.odd.respond(() => faults.stallAfter(2 * MIB));
  at.honest.respond(() => faults.stallAfter(4 * MIB));
  for (const registry of ["odd.test", "honest.test"]) {
    void at.cache.get(pathOf(layer, registry)).then(readAll, () => {});
  }
  const sizes = async (): Promise<number[]> =>
    (await unfinishedFills(dir.file("d"))).map(
      (name) => Bun.file(dir.file("d", "fills", name)).size,
    );
  await until(
    async () => {
      const written = (await sizes()).toSorted((a, b) => a - b);
      return (written[0] ?? 0) > MIB && (written[1] ?? 0) > 3 * MIB;
    },
    { what: "both partial downloads" },
  );
  await at.cache.stop("SIGKILL");
  for (const upstream of [at.odd, at.honest]) {
    upstream.respond();
    upstream.forget();
  }
  await using again = await at.start();
  const response = await again.get(pathOf(layer, "odd.test"));
  expect(Buffer.compare(await response.bytes(), bytesOf(layer))).toBe(0);
  const [resumed] = at.odd.requests({ method: "GET", reference: layer.digest });
  expect(resumed?.sent).toBeLessThan(7 * MIB);
  expect(downloads(at.honest, layer)).toBe(0);
});
