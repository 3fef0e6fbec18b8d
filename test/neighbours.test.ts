import { expect, test } from "bun:test";
import { bytesOf, type Content, randomContent } from "./harness/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/entrepot.ts";
import * as faults from "./harness/faults.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { unfinishedFills, verifyStore } from "./harness/store-files.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

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

test("wrong bytes of one registry reach no client of another, and its own are cut off", async () => {
  const layer = randomContent(8 * MIB, 2);
  await using at = await setUp(layer);
  at.odd.respond(() => ({ ...faults.stallAfter(2 * MIB), flipBitAt: 1000 }));
  const wrong = await at.cache.get(pathOf(layer, "odd.test"));
  const received = readAll(wrong);
  const honest = await at.cache.get(pathOf(layer, "honest.test"));
  expect(Buffer.compare(await honest.bytes(), bytesOf(layer))).toBe(0);
  expect((await received).bytes.length).toBeLessThan(layer.size);
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
