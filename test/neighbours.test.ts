import { expect, test } from "bun:test";
import {
  bytesOf,
  type Content,
  contentOf,
  descriptor,
  ownContent,
  randomContent,
} from "./harness/images/content.ts";
import { type LogLine, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { SharedCache } from "./harness/cache/shared-cache.ts";
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

const shared = new SharedCache();

/** Two registries that both have a layer, and a cache of both. */
async function setUp(layer: Content) {
  const [odd, honest] = await Promise.all([startScriptedUpstream(), startScriptedUpstream()]);
  for (const upstream of [odd, honest]) upstream.addBlob("app", layer);
  const [oddly, honestly] = await Promise.all(
    [odd, honest].map(({ url }) => shared.add(localUpstream(url))),
  );
  if (!oddly || !honestly) throw new Error("both were added");
  const { cache } = oddly;
  const failed = ({ msg, source }: LogLine): boolean =>
    msg === "download failed" && source === `${oddly.name}/app`;
  return {
    odd,
    honest,
    cache,
    /** What a client gets of `app`, or of another repository, from either registry. */
    fromOdd: (path: string, repository = "app") => cache.get(oddly.path(`${repository}/${path}`)),
    fromHonest: (path: string, init?: BunFetchRequestInit) =>
      cache.get(honestly.path(`app/${path}`), init),
    /** The error of the first download from the odd registry that failed. */
    failure: () => until(() => cache.logs().find(failed)?.["error"], { what: "a failed download" }),
    async [Symbol.asyncDispose]() {
      for (const added of [oddly, honestly]) added[Symbol.dispose]();
      await Promise.all([odd, honest].map((upstream) => upstream[Symbol.asyncDispose]()));
    },
  };
}

const pathOf = ({ digest }: Content): string => `blobs/${digest}`;

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
  const layer = ownContent(8 * MIB);
  await using at = await setUp(layer);
  at.odd.respond(() => faults.stallAfter(MIB));
  const stalled = await at.fromOdd(pathOf(layer));
  expect(stalled.status).toBe(200);
  const honest = await at.fromHonest(pathOf(layer));
  expect(Buffer.compare(await honest.bytes(), bytesOf(layer))).toBe(0);
  // Its own clients go on from what the other registry has sent.
  expect(Buffer.compare(await stalled.bytes(), bytesOf(layer))).toBe(0);
  expect([downloads(at.odd, layer), downloads(at.honest, layer)]).toEqual([1, 1]);
  expect(await verifyStore(at.cache.data)).toContain(layer.digest);
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
    const blob = ownContent(300 * KIB);
    await using at = await setUp(blob);
    at.odd.respond(() => (sent === 0 ? faults.neverResponds : faults.stallAfter(sent)));
    const waiting = at.fromOdd(pathOf(blob));
    await until(() => downloads(at.odd, blob) === 1, { what: "the first download" });
    at.odd.respond();
    expect(await outcome(at.fromHonest(pathOf(blob)), blob)).toEqual([200, true]);
    const response = await waiting;
    expect(response.headers.get("content-length")).toBe(String(blob.size));
    expect(await outcome(response, blob)).toEqual([200, true]);
  },
);

test("what another registry has sent is not shown where the own one says that it is missing", async () => {
  const blob = ownContent(300 * KIB);
  await using at = await setUp(blob);
  at.odd.respond(() => faults.neverResponds);
  const waiting = at.fromOdd(pathOf(blob));
  await until(() => downloads(at.odd, blob) === 1, { what: "the first download" });
  at.odd.respond(() => faults.errorResponse(404, "BLOB_UNKNOWN"));
  expect(await outcome(at.fromHonest(pathOf(blob)), blob)).toEqual([200, true]);
  expect(await outcome(waiting, blob)).toEqual([404, false]);
});

test("a registry that stalls with a manifest as a blob does not hold the pull of that manifest", async () => {
  const image = textImage();
  const { manifest } = image;
  await using at = await setUp(manifest);
  at.honest.add("app", image, "1");
  at.odd.respond(() => faults.stallAfter(100));
  const waiting = at.fromOdd(pathOf(manifest));
  await until(() => at.odd.requests()[0]?.sent === 100, { what: "100 bytes" });
  const pulled = at.fromHonest("manifests/1");
  expect(await outcome(pulled, manifest)).toEqual([200, true]);
  expect(await outcome(waiting, manifest)).toEqual([200, true]);
});

test("wrong bytes of one registry reach no client of another, and its own are cut off", async () => {
  const layer = ownContent(8 * MIB);
  await using at = await setUp(layer);
  at.odd.respond(() => ({ ...faults.stallAfter(2 * MIB), flipBitAt: 1000 }));
  const wrong = await at.fromOdd(pathOf(layer));
  const received = readAll(wrong);
  const honest = await at.fromHonest(pathOf(layer));
  expect(Buffer.compare(await honest.bytes(), bytesOf(layer))).toBe(0);
  expect((await received).bytes.length).toBeLessThan(layer.size);
  expect(await at.failure()).toContain("do not match the digest");
  expect(await verifyStore(at.cache.data)).toContain(layer.digest);
});

test.each([
  ["too small", (size: number) => size - 1000],
  ["too large", (size: number) => size + 1000],
  ["larger than any disk", () => 2 ** 50],
])("a size that one registry announces is not another's: %s", async (_, lie) => {
  const layer = ownContent(6 * MIB);
  await using at = await setUp(layer);
  at.odd.respond(() => ({ ...faults.stallAfter(MIB), contentLength: lie(layer.size) }));
  const own = at.fromOdd(pathOf(layer)).then(readAll);
  await until(() => downloads(at.odd, layer) > 0, { what: "the first download" });
  for (const range of [undefined, `bytes=100-${layer.size - 1}`]) {
    const response = await at.fromHonest(
      pathOf(layer),
      range === undefined ? {} : { headers: { range } },
    );
    const expected = bytesOf(layer).subarray(range === undefined ? 0 : 100);
    expect(Buffer.compare(await response.bytes(), expected)).toBe(0);
  }
  expect(await verifyStore(at.cache.data)).toContain(layer.digest);
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
    const layer = ownContent(6 * MIB);
    await using at = await setUp(layer);
    at.odd.add("app", imageClaiming(layer, layer.size + more), "1");
    await (await at.fromOdd("manifests/1")).bytes();
    at.odd.respond(() => faults.neverResponds);
    const waiting = at.fromOdd(pathOf(layer));
    await until(() => downloads(at.odd, layer) === 1, { what: "the first download" });
    at.odd.respond();
    expect(await outcome(at.fromHonest(pathOf(layer)), layer)).toEqual([200, true]);
    expect(await outcome(waiting, layer)).toEqual([200, true]);
    expect(await at.failure()).toContain(
      `${layer.size + more} bytes were announced for ${layer.digest}`,
    );
  },
);

test("a size that one repository's manifest claims is not that of another repository", async () => {
  const layer = ownContent(6 * MIB);
  await using at = await setUp(layer);
  const gate = new Gate();
  at.odd.add("liar", imageClaiming(layer, 1000), "1");
  await (await at.fromOdd("manifests/1", "liar")).bytes();
  at.odd.respond(() => ({ hold: gate.opened }));
  const lied = at.fromOdd(pathOf(layer), "liar");
  await until(() => downloads(at.odd, layer) === 1, { what: "the first download" });
  const joined = at.fromOdd(pathOf(layer));
  // The response to a third request shows that the second has been accepted before it.
  expect((await at.cache.get("/v2/")).status).toBe(200);
  gate.open();
  expect(await outcome(joined, layer)).toEqual([200, true]);
  expect((await lied).status).toBe(502);
});

test("twenty clients of each of two registries cause one download from each", async () => {
  const layer = ownContent(6 * MIB);
  await using at = await setUp(layer);
  for (const upstream of [at.odd, at.honest]) upstream.respond(() => faults.slow(6 * MIB));
  const bodies = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      const path = pathOf(layer);
      return (await (i % 2 === 0 ? at.fromOdd(path) : at.fromHonest(path))).bytes();
    }),
  );
  for (const bytes of bodies) expect(Buffer.compare(bytes, bytesOf(layer))).toBe(0);
  expect([downloads(at.odd, layer), downloads(at.honest, layer)]).toEqual([1, 1]);
});

test("after kill -9, each registry's partial download is resumed from that registry", async () => {
  const layer = randomContent(8 * MIB, 5);
  await using dir = await tempDir("data");
  await using odd = await startScriptedUpstream();
  await using honest = await startScriptedUpstream();
  for (const upstream of [odd, honest]) upstream.addBlob("app", layer);
  const upstreams = {
    "odd.test": localUpstream(odd.url),
    "honest.test": localUpstream(honest.url),
  };
  const options = { config: { storage: { scrub: 0 }, upstreams }, data: dir.file("d") };
  await using cache = await startEntrepot(options);
  const pathAt = (registry: string) => `/v2/app/${pathOf(layer)}?ns=${registry}`;
  odd.respond(() => faults.stallAfter(2 * MIB));
  honest.respond(() => faults.stallAfter(4 * MIB));
  for (const registry of ["odd.test", "honest.test"]) {
    void cache.get(pathAt(registry)).then(readAll, () => {});
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
  await cache.stop("SIGKILL");
  for (const upstream of [odd, honest]) {
    upstream.respond();
    upstream.forget();
  }
  await using again = await startEntrepot(options);
  const response = await again.get(pathAt("odd.test"));
  expect(Buffer.compare(await response.bytes(), bytesOf(layer))).toBe(0);
  const [resumed] = odd.requests({ method: "GET", reference: layer.digest });
  expect(resumed?.sent).toBeLessThan(7 * MIB);
  expect(downloads(honest, layer)).toBe(0);
});
