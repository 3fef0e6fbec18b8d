import { expect, test } from "bun:test";
import { command } from "./harness/commands.ts";
import { bytesOf, type Content, randomContent } from "./harness/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { storedBlobs, verifyStore } from "./harness/store-files.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
const QUOTA = 6 * MIB;

async function pull(cache: Entrepot, ns: string, blob: Content): Promise<void> {
  const response = await cache.get(`/v2/app/blobs/${blob.digest}?ns=${ns}`);
  expect(Buffer.compare(await response.bytes(), bytesOf(blob))).toBe(0);
}

test("a registry's maxSize holds as content is stored, for that registry alone", async () => {
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
  const held = async (of: readonly Content[]): Promise<readonly Content[]> => {
    const stored = new Set((await storedBlobs(cache.data)).map(({ digest }) => digest));
    return of.filter(({ digest }) => stored.has(digest));
  };
  await pull(cache, "small.test", shared);
  await pull(cache, "reg.test", shared);
  await pull(cache, "reg.test", other);
  // Far less than what is looked at now and then: the bound acts when there is something to bound.
  const soon = { within: 4000, what: "the registry to be within its bound" };
  for (const blob of blobs) {
    await pull(cache, "small.test", blob);
    await until(async () => (await held(blobs)).length * MIB <= QUOTA, soon);
  }
  // It waits for what is going just now.
  expect((await command(cache, "gc")).code).toBe(0);
  const left = await held(blobs);
  expect(left.length).toBeGreaterThanOrEqual(4);
  expect(left.at(-1)).toBe(blobs.at(-1));
  expect(await held([shared, other])).toHaveLength(2);

  // What can never be within the bound is given to who asked, and pushes nothing else out.
  await pull(cache, "small.test", large);
  await until(async () => (await held([large])).length === 0, soon);
  expect(await held(blobs)).toEqual(left);
  // A file goes a moment before it is counted.
  const told = `entrepot_removed_blobs_total{reason="quota"} ${blobs.length - left.length + 1}`;
  const metrics = async () => (await cache.getAdmin("/metrics")).text();
  await until(async () => (await metrics()).includes(told), { within: 4000, what: told });
  await verifyStore(cache.data);
}, 90_000);
