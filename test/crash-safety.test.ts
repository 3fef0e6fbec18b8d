import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { digestOf } from "../src/oci/digest.ts";
import { command } from "./harness/commands.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/entrepot.ts";
import * as faults from "./harness/faults.ts";
import type { Image } from "./harness/images.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { randomImages, randomNumbers } from "./harness/random-images.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";
import { storedBlobs, unfinishedFills, verifyStore } from "./harness/store-files.ts";

/** All rounds take minutes: `npm run test:long`. */
const ROUNDS = process.env["ENTREPOT_LONG"] === "1" ? 200 : 15;
const WORKERS = 6;
const PINNED = 3;

/** Pulls at random until the cache is gone; every body that comes whole is right. */
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
      // The process was killed, or is just starting to listen.
      if (cache.exitCode !== undefined) return wrong;
    }
  }
}

test(
  `${ROUNDS} times kill -9 among fills, evictions and moving tags: nothing lost, nothing corrupt, nothing left behind`,
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
    const pinned = images.toSorted((a, b) => total(a) - total(b)).slice(0, PINNED);
    pinned.forEach((image, number) => upstream.add(`pinned${number}`, image, "1"));
    const kept = new Set(
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
      // On a busy machine it tells its progress besides, on the error output.
      const found = await command(cache, "fsck");
      expect(`round ${round}: ${found.code} ${found.stdout}`).toContain(
        "Every byte is what its digest says.\n",
      );
      expect(found.code).toBe(0);
      upstream.respond(() => (random() < 0.3 ? faults.slow(2_000_000) : undefined));
      // A tag moves to another image of the same repository.
      const [from, to] = [Math.floor(random() * 40), images[Math.floor(random() * 40)]];
      if (to) upstream.add(`app${from}`, to, "1");
      // The moment is what is random here: nothing is waited for.
      await Bun.sleep(random() * 500);
      await cache.stop("SIGKILL");
      for (const count of await Promise.all(working)) wrong += count;
      await verifyStore(data);
      const stored = new Set((await storedBlobs(data)).map(({ digest }) => digest));
      expect([...kept].filter((digest) => !stored.has(digest))).toEqual([]);
      // Each kill may leave the fills that were under way; the next start and eviction clear them.
      expect((await unfinishedFills(data)).length).toBeLessThanOrEqual(4 * WORKERS);
      const writing = await readdir(join(data, "sidecars/writing")).catch(() => []);
      expect(writing.length).toBeLessThanOrEqual(WORKERS);
    }
    expect(wrong).toBe(0);
  },
  ROUNDS * 20_000,
);

function total(image: Image): number {
  return image.blobs.reduce((sum, { size }) => sum + size, 0);
}
