import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { digestOf } from "../src/oci/digest.ts";
import { command } from "./harness/cache/commands.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import type { Image } from "./harness/images/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { randomImages, randomNumbers } from "./harness/images/random-images.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { storedBlobs, unfinishedFills, verifyStore } from "./harness/cache/store-files.ts";

/** 200 rounds take minutes: only in `npm run test:long`. */
const ROUNDS = process.env["ENTREPOT_LONG"] === "1" ? 200 : 8;
const WORKERS = 6;
const PINNED = 3;

/**
 * Pulls random images until the cache has exited. Returns the number of complete but wrong bodies.
 */
async function traffic(
  cache: Entrepot,
  images: readonly Image[],
  random: () => number,
): Promise<number> {
  let wrong = 0;
  for (;;) {
    try {
      const number = Math.floor(random() * images.length);
      const tagged = await cache.get(`/v2/app${number}/manifests/1?ns=reg.test`);
      const manifest = await tagged.bytes();
      const digest = tagged.headers.get("docker-content-digest");
      if (tagged.status === 200 && digestOf(manifest) !== digest) wrong += 1;
      const image = images.find((one) => one.manifest.digest === digest);
      for (const blob of image?.blobs ?? []) {
        const response = await cache.get(`/v2/app${number}/blobs/${blob.digest}?ns=reg.test`);
        const bytes = await response.bytes();
        if (response.status === 200 && digestOf(bytes) !== blob.digest) wrong += 1;
      }
    } catch {
      // The process was killed, or does not listen yet.
      if (cache.exitCode !== undefined) return wrong;
    }
  }
}

test(
  `${ROUNDS} kill -9 during fills, evictions and tag moves lose no pinned blob, corrupt nothing and leave no garbage`,
  async () => {
    await using upstream = await startScriptedUpstream();
    await using dir = await tempDir("kill");
    const data = dir.file("data");
    const random = randomNumbers(11);
    const images = randomImages({ count: 40, smallest: 20_000, largest: 3_000_000, seed: 5 });
    images.forEach((image, number) => upstream.add(`app${number}`, image, "1"));
    const config = {
      storage: { maxSize: "12MiB", minFree: 0, scrub: 0 },
      upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: 0 } },
    };
    const pinned = images.toSorted((a, b) => totalSize(a) - totalSize(b)).slice(0, PINNED);
    pinned.forEach((image, number) => upstream.add(`pinned${number}`, image, "1"));
    const pinnedDigests = new Set(
      pinned.flatMap((image) => [image.manifest, ...image.blobs].map(({ digest }) => digest)),
    );
    let wrong = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      await using cache = await startEntrepot({ config, data });
      if (round === 0) {
        for (const [number, image] of pinned.entries()) {
          await (await cache.get(`/v2/pinned${number}/manifests/1?ns=reg.test`)).bytes();
          for (const { digest } of image.blobs) {
            await (await cache.get(`/v2/pinned${number}/blobs/${digest}?ns=reg.test`)).bytes();
          }
        }
        expect((await command(cache, "pin", "reg.test/pinned*:*")).code).toBe(0);
      }
      const working = Array.from({ length: WORKERS }, () => traffic(cache, images, random));
      // On a busy machine fsck also reports its progress, on stderr.
      const fsck = await command(cache, "fsck");
      expect(`round ${round}: ${fsck.code} ${fsck.stdout}`).toContain(
        "All blobs match their digests.\n",
      );
      expect(fsck.code).toBe(0);
      upstream.respond(() => (random() < 0.3 ? faults.slow(2_000_000) : undefined));
      // A tag moves to another image of the same repository.
      const [from, to] = [Math.floor(random() * 40), images[Math.floor(random() * 40)]];
      if (to) upstream.add(`app${from}`, to, "1");
      // The moment of the kill is random; this does not wait for a condition.
      await Bun.sleep(random() * 500);
      await cache.stop("SIGKILL");
      for (const count of await Promise.all(working)) wrong += count;
      await verifyStore(data);
      const stored = new Set((await storedBlobs(data)).map(({ digest }) => digest));
      expect([...pinnedDigests].filter((digest) => !stored.has(digest))).toEqual([]);
      // A kill leaves the unfinished fills behind; the next start and eviction remove them.
      expect((await unfinishedFills(data)).length).toBeLessThanOrEqual(4 * WORKERS);
      const writing = await readdir(join(data, "sidecars/writing")).catch(() => []);
      expect(writing.length).toBeLessThanOrEqual(WORKERS);
    }
    expect(wrong).toBe(0);
  },
  ROUNDS * 20_000,
);

function totalSize(image: Image): number {
  return image.blobs.reduce((sum, { size }) => sum + size, 0);
}
