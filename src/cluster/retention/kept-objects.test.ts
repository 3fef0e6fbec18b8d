import { expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Pin } from "../../store/metadata-store.ts";
import { four, one, three, two } from "../clustertest/opened-object-ledger.ts";
import { MemoryObjectLedger } from "../objects/memory-object-ledger.ts";
import { KeptObjects } from "./kept-objects.ts";

/** What the images that a pattern matches are made of. */
const IMAGES: Readonly<Record<string, readonly Digest[]>> = {
  "docker.io/library/a:1": [one, two],
  "docker.io/library/b:1": [two, three],
};

test("what pins keep is kept in the shared store, until the last of them is taken back", async () => {
  const objects = new MemoryObjectLedger();
  await objects.stored(
    [one, two, three, four].map((digest) => ({ digest, size: 1, storedAgo: 0 })),
  );
  let pins: Pin[] = [];
  const told: unknown[] = [];
  await using _ = new KeptObjects({
    objects,
    pins: { list: async () => pins },
    async *blobs(patterns) {
      for (const { pattern } of patterns) yield* IMAGES[pattern] ?? [];
    },
    onError: (error) => told.push(error),
    interval: 1,
  });
  const keeps = async (what: string, ...digests: readonly Digest[]): Promise<void> => {
    await until(
      async () => {
        const kept = (await objects.page(9)).filter(({ isKept }) => isKept);
        return Bun.deepEquals(kept.map(({ digest }) => digest).toSorted(), digests.toSorted());
      },
      { what },
    );
  };
  const pinned = (pattern: string): Pin => ({ pattern, platforms: [], since: 0 });
  const [a, b] = Object.keys(IMAGES).map(pinned);
  if (!a || !b) throw new Error("there are no images");
  pins = [a, b];
  await keeps("both images", one, two, three);
  pins = [b];
  await keeps("the second image", two, three);
  pins = [];
  await keeps("nothing");
  expect(told).toEqual([]);
});
