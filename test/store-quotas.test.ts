import { expect, test } from "bun:test";
import { command } from "./harness/cache/commands.ts";
import { bytesOf, type Content, randomContent } from "./harness/images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { storedBlobs, verifyStore } from "./harness/cache/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const QUOTA = 6 * MIB;

async function pull(cache: Entrepot, ns: string, blob: Content): Promise<void> {
  const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=${ns}`);
  expect(Buffer.compare(await response.bytes(), bytesOf(blob))).toBe(0);
}

test("an upstream's maxSize is enforced whenever a blob is stored, for that upstream only", async () => {
  await using upstream = await startScriptedUpstream();
  const blobs = Array.from({ length: 20 }, (_, seed) => randomContent(MIB, seed + 1));
  const [shared, other] = [randomContent(MIB, 100), randomContent(2 * MIB, 101)];
  const large = randomContent(7 * MIB, 102);
  for (const blob of [...blobs, shared, other, large]) upstream.addBlob("app", blob);
  await using cache = await startEntrepot({
    config: {
      storage: { scrub: 0 },
      upstreams: {
        "small.test": { ...localUpstream(upstream.url), maxSize: QUOTA },
        "reg.test": localUpstream(upstream.url),
      },
    },
  });
  const storedAmong = async (among: readonly Content[]): Promise<readonly Content[]> => {
    const stored = new Set((await storedBlobs(cache.data)).map(({ digest }) => digest));
    return among.filter(({ digest }) => stored.has(digest));
  };
  await pull(cache, "small.test", shared);
  await pull(cache, "reg.test", shared);
  await pull(cache, "reg.test", other);
  // Far less than the periodic check's interval: the quota is enforced when a blob is stored.
  const soon = { within: 4000, what: "the upstream to be within its quota" };
  for (const blob of blobs) {
    await pull(cache, "small.test", blob);
    await until(async () => (await storedAmong(blobs)).length * MIB <= QUOTA, soon);
  }
  // gc waits for the eviction in progress.
  expect((await command(cache, "gc")).code).toBe(0);
  const remaining = await storedAmong(blobs);
  expect(remaining.length).toBeGreaterThanOrEqual(4);
  expect(remaining.at(-1)).toBe(blobs.at(-1));
  expect(await storedAmong([shared, other])).toHaveLength(2);

  // A blob larger than the quota is served, and evicts nothing else.
  await pull(cache, "small.test", large);
  await until(async () => (await storedAmong([large])).length === 0, soon);
  expect(await storedAmong(blobs)).toEqual(remaining);
  // A file is deleted shortly before it is counted.
  const expectedMetric = `entrepot_removed_blobs_total{reason="quota"} ${blobs.length - remaining.length + 1}`;
  const metrics = async () => (await cache.getAdmin("/metrics")).text();
  await until(async () => (await metrics()).includes(expectedMetric), {
    within: 4000,
    what: expectedMetric,
  });
  await verifyStore(cache.data);
}, 90_000);
