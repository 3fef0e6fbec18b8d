import { expect, test } from "bun:test";
import {
  array,
  assert,
  asyncProperty,
  constantFrom,
  integer,
  record,
  subarray,
  uniqueArray,
} from "fast-check";
import type { HistorySettings } from "../../config/settings.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { OCI_MANIFEST } from "../../oci/media-types.ts";
import { BoundedBlobStore } from "../../store/disk/bounded-blob-store.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { DiskBudget } from "../../store/space/disk-budget.ts";
import { LOW_WATER } from "../../store/space/fill-level.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { sampleBytes } from "../../store/storetest/sample-bytes.ts";
import { repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import { storeBytes } from "../../store/storetest/writing.ts";
import { Evictor } from "./evictor.ts";
import { FormerImages } from "./former-images.ts";
import { ManifestTrees } from "./manifest-trees.ts";
import { PinnedBlobs } from "./pinned-blobs.ts";
import { UpstreamQuotas } from "./upstream-quotas.ts";

const app = repositoryRef("reg.test", "app");
const NOW = 1_000_000;
const LAYERS = 8;

interface Move {
  readonly name: string;
  readonly image: number;
}

interface Scene {
  /** Of each image, the numbers of its layers. Images share them. */
  readonly images: readonly (readonly number[])[];
  readonly sizes: readonly number[];
  /** In the order in which they happen, one per second. */
  readonly moves: readonly Move[];
  /** Blobs by their place in the order of their use, as fractions. */
  readonly uses: readonly number[];
  readonly pins: readonly string[];
  readonly settings: HistorySettings;
  /** What there is room for, as a part of all. */
  readonly room: number;
}

const scene = record({
  images: array(
    subarray(
      Array.from({ length: LAYERS }, (_, at) => at),
      { minLength: 1 },
    ),
    {
      minLength: 5,
      maxLength: 5,
    },
  ),
  sizes: array(integer({ min: 500, max: 5000 }), { minLength: LAYERS, maxLength: LAYERS }),
  moves: array(record({ name: constantFrom("a", "b", "c"), image: integer({ min: 0, max: 4 }) }), {
    maxLength: 12,
  }),
  uses: uniqueArray(integer({ min: 1, max: 5000 }), { minLength: 20, maxLength: 20 }),
  pins: subarray(["a", "b"]),
  settings: record({
    digests: integer({ min: 0, max: 3 }),
    seenWithin: integer({ min: 0, max: 12 }).map((seconds) => seconds * 1000),
    share: constantFrom(0, 0.1, 0.3, 0.6, 1),
  }),
  room: integer({ min: 1, max: 95 }).map((percent) => percent / 100),
});

interface SceneBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly usedAt: number;
}

async function opened({ images, sizes, moves, uses, pins, settings, room }: Scene) {
  const metadata = await openMetadata(":memory:");
  const blobs = new MemoryBlobStore();
  const layers = sizes.map((size, number) => ({
    digest: digestOf(sampleBytes(size, number)),
    size,
  }));
  const config = { mediaType: "application/vnd.oci.image.config.v1+json", ...layers[0] };
  const manifests = images.map((numbers, image) => {
    const own = numbers.map((number) => ({
      mediaType: "application/vnd.oci.image.layer.v1.tar",
      ...layers[number],
    }));
    const annotations = { image: String(image) };
    const manifest = {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config,
      layers: own,
      annotations,
    };
    return Buffer.from(JSON.stringify(manifest));
  });
  const all: SceneBlob[] = [];
  for (const bytes of [...sizes.map(sampleBytes), ...manifests]) {
    const digest = await storeBytes(blobs, bytes);
    const usedAt = uses[all.length] ?? 0;
    const isManifest = all.length >= LAYERS;
    const mediaType = isManifest ? { mediaType: OCI_MANIFEST } : {};
    await metadata.blobs.put({ digest, size: bytes.length, ...mediaType }, usedAt);
    await metadata.links.add(app, [{ digest, confirmed: true }]);
    all.push({ digest, size: bytes.length, usedAt });
  }
  const digestOfImage = (image: number): Digest => digestOf(manifests[image] ?? Buffer.of());
  const timeOf = (at: number): number => NOW - (moves.length - at) * 1000;
  for (const [at, { name, image }] of moves.entries()) {
    const digest = digestOfImage(image);
    await metadata.tags.put(app, tag(name), { digest, checkedAt: timeOf(at) });
  }
  for (const name of pins) {
    await metadata.pins.put({ pattern: `reg.test/app:${name}`, platforms: [], since: 0 });
  }
  const total = all.reduce((sum, { size }) => sum + size, 0);
  const maxSize = Math.floor(room * total);
  const budget = new DiskBudget({
    limits: { maxSize, minFree: 0 },
    disk: async () => ({ free: 1e12, size: 1e12, metadata: 0 }),
  });
  budget.recount(total);
  const former = new FormerImages({
    history: metadata.tagHistory,
    settings,
    maxSize: () => maxSize,
    now: () => NOW,
  });
  const pinned = new PinnedBlobs(metadata, new ManifestTrees(blobs, metadata.blobs), {
    spaceOf: (size) => size,
    goingLast: () => former.current(),
  });
  const store = new BoundedBlobStore(blobs, budget);
  const evictor = new Evictor({
    store,
    metadata,
    budget,
    pinned,
    flushAccessTimes: async () => {},
    inUse: () => false,
    deleteRemains: async () => {},
    onRemoved: () => {},
    onFailed: () => {},
    onRecordsLeft: () => {},
  });
  return {
    metadata,
    evictor,
    store,
    budget,
    all,
    total,
    maxSize,
    manifests,
    timeOf,
    digestOfImage,
  };
}

/** The blobs that should be left of a scene once no more than so many bytes are. */
function modelOf(
  { images, moves, pins, settings }: Scene,
  { all, manifests, maxSize, timeOf }: Awaited<ReturnType<typeof opened>>,
  bytes: number,
): Set<Digest> {
  const sizeOf = new Map(all.map(({ digest, size }) => [digest, size]));
  const partsOf = (image: number): Digest[] => {
    const layers = [0, ...(images[image] ?? [])].map((number) => all[number]?.digest);
    const own = digestOf(manifests[image] ?? Buffer.of());
    return [...new Set([own, ...layers])].filter((digest) => digest !== undefined);
  };
  const pinned = new Set<Digest>();
  /** When each image was last seen under a tag that keeps it. */
  const kept = new Map<number, number>();
  for (const name of ["a", "b", "c"]) {
    const own = moves.flatMap((move, at) => (move.name === name ? [{ ...move, at }] : []));
    const current = own.at(-1);
    if (current && pins.includes(name)) partsOf(current.image).forEach((part) => pinned.add(part));
    const latestFirst = [...new Map(own.map(({ image, at }) => [image, at]))].toSorted(
      ([, one], [, other]) => other - one,
    );
    if (latestFirst.length < 2) continue;
    for (const [rank, [image, at]] of latestFirst.entries()) {
      const isKept = rank < settings.digests || timeOf(at) > NOW - settings.seenWithin;
      if (isKept) kept.set(image, Math.max(at, kept.get(image) ?? -1));
    }
  }
  const last = new Set<Digest>();
  let lastBytes = 0;
  for (const [image] of [...kept].toSorted(([, one], [, other]) => other - one)) {
    const more = partsOf(image).filter((part) => !pinned.has(part) && !last.has(part));
    const size = more.reduce((sum, part) => sum + (sizeOf.get(part) ?? 0), 0);
    if (settings.share === 0 || lastBytes + size > settings.share * maxSize) continue;
    lastBytes += size;
    more.forEach((part) => last.add(part));
  }
  const byUse = all.toSorted((one, other) => one.usedAt - other.usedAt);
  const order = [false, true].flatMap((isLast) =>
    byUse.filter(({ digest }) => !pinned.has(digest) && last.has(digest) === isLast),
  );
  let used = all.reduce((sum, { size }) => sum + size, 0);
  const left = new Set(all.map(({ digest }) => digest));
  for (const { digest, size } of order) {
    if (used <= bytes) break;
    left.delete(digest);
    used -= size;
  }
  return left;
}

async function stored({ metadata }: Awaited<ReturnType<typeof opened>>): Promise<Set<Digest>> {
  return new Set((await metadata.blobs.page(100)).map(({ digest }) => digest));
}

test("what tags pointed to lately goes last, within its share, and what is pinned does not go", async () => {
  await assert(
    asyncProperty(scene, async (given) => {
      const world = await opened(given);
      const { evictor, metadata, maxSize, total } = world;
      const planned = await evictor.planSweep({ blobs: 0, bytes: 0 });
      const evicted = await evictor.sweep();
      const expected = modelOf(given, world, LOW_WATER * maxSize);
      expect(await stored(world)).toEqual(expected);
      expect([planned.blobs, planned.bytes]).toEqual([evicted.blobs, evicted.bytes]);
      expect(evicted.bytes).toBe(total - (await metadata.blobs.total(1)).bytes);
      await metadata.close();
    }),
    { numRuns: 150 },
  );
}, 120_000);

test("the quota of an upstream holds all the same, and has what tags pointed to go last", async () => {
  await assert(
    asyncProperty(scene, async (given) => {
      const world = await opened(given);
      const { evictor, metadata, store, budget, maxSize } = world;
      const quotas = new UpstreamQuotas({
        store,
        metadata,
        evictor,
        budget,
        upstreams: () => new Map([[app.upstream, { name: app.upstream, maxSize }]]),
        flushAccessTimes: async () => {},
        onFailed: (error) => {
          throw error;
        },
      });
      // Nothing but the quota is short.
      budget.recount(0);
      await quotas.enforce();
      expect(await stored(world)).toEqual(modelOf(given, world, LOW_WATER * maxSize));
      await metadata.close();
    }),
    { numRuns: 100 },
  );
}, 120_000);
