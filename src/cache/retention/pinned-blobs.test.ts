import { expect, test } from "bun:test";
import { contentOf, descriptor, type SmallContent } from "../../../test/harness/images/content.ts";
import type { Digest } from "../../oci/digest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../oci/media-types.ts";
import { parseRepositoryName, parseTag, parseUpstreamName } from "../../oci/names.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { storeBytes } from "../../store/storetest/writing.ts";
import { ManifestTrees } from "./manifest-trees.ts";
import { PinnedBlobs } from "./pinned-blobs.ts";

const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar";

function named<Name>(name: Name | undefined): Name {
  if (name === undefined) throw new Error("the name is not valid");
  return name;
}

const REPO: RepositoryRef = {
  upstream: named(parseUpstreamName("reg.test")),
  repository: named(parseRepositoryName("app")),
};

interface SmallImage {
  readonly manifest: SmallContent;
  readonly layer: SmallContent;
}

function image(name: string): SmallImage {
  const layer = contentOf(`layer ${name}`, LAYER);
  const config = descriptor(contentOf(`{"name":"${name}"}`, CONFIG));
  const manifest = contentOf(
    { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [descriptor(layer)] },
    OCI_MANIFEST,
  );
  return { manifest, layer };
}

/** A store with a pin on every image, which counts what is read of it. */
async function pinnedStore() {
  const metadata = await openMetadata(":memory:");
  const blobs = new MemoryBlobStore();
  const counts = { manifests: 0, queries: 0 };
  let now = 0;
  const page = metadata.blobs.page.bind(metadata.blobs);
  const all = metadata.tags.all.bind(metadata.tags);
  Object.assign(metadata.blobs, {
    page: (...args: Parameters<typeof page>) => {
      counts.queries += 1;
      return page(...args);
    },
  });
  Object.assign(metadata.tags, {
    all: (...args: Parameters<typeof all>) => {
      counts.queries += 1;
      return all(...args);
    },
  });
  const open = (digest: Digest): ReturnType<typeof blobs.open> => {
    counts.manifests += 1;
    return blobs.open(digest);
  };
  const trees = new ManifestTrees({ open }, metadata.blobs);
  const pinned = new PinnedBlobs(metadata, trees, {
    spaceOf: (size) => size,
    now: () => now,
  });
  await metadata.pins.put({ pattern: "reg.test/*", platforms: [], since: 0 });
  return {
    metadata,
    blobs,
    pinned,
    wait: (milliseconds: number) => {
      now += milliseconds;
    },
    /** What was read since the last call. */
    read: () => {
      const read = { ...counts };
      Object.assign(counts, { manifests: 0, queries: 0 });
      return read;
    },
    /** As a pull does: the link comes last. */
    async store({ digest, bytes, mediaType, size }: SmallContent, tag?: string): Promise<void> {
      await storeBytes(blobs, bytes);
      await metadata.blobs.put({ digest, size, mediaType }, 1);
      const link = { digest, size, confirmed: true, manifestType: mediaType };
      await metadata.links.add(REPO, [link]);
      if (tag === undefined) return;
      await metadata.tags.put(REPO, named(parseTag(tag)), { digest, checkedAt: 1 });
    },
    [Symbol.asyncDispose]: () => metadata.close(),
  };
}

test("nothing is read again while no tag and no link changes", async () => {
  await using subject = await pinnedStore();
  const { manifest, layer } = image("one");
  await subject.store(manifest, "1");
  const all = await Promise.all([subject.pinned.current(), subject.pinned.current()]);
  expect(all.map((set) => set.has(layer.digest))).toEqual([true, true]);
  // Together they read it once.
  expect(subject.read().manifests).toBe(1);
  subject.wait(3_600_000);
  expect((await subject.pinned.current()).has(layer.digest)).toBe(true);
  expect(subject.read()).toEqual({ manifests: 0, queries: 0 });
});

test("when a tag changes, only manifests that were not read before are read", async () => {
  await using subject = await pinnedStore();
  const images = Array.from({ length: 600 }, (_, number) => image(`old ${number}`));
  for (const [number, { manifest }] of images.entries()) {
    await subject.store(manifest, `old${number}`);
  }
  await subject.pinned.current();
  expect(subject.read().manifests).toBe(600);
  const added = image("new");
  await subject.store(added.manifest, "new");
  subject.wait(10_001);
  const pinned = await subject.pinned.current();
  expect(subject.read().manifests).toBe(1);
  const isPinned = [added, ...images].map(({ layer }) => pinned.has(layer.digest));
  expect(isPinned).toEqual(Array.from({ length: 601 }, () => true));
  expect(pinned.images).toEqual(new Map([["reg.test/*", 601]]));
});

test("an image whose tag is gone is no longer pinned", async () => {
  await using subject = await pinnedStore();
  const { manifest, layer } = image("one");
  await subject.store(manifest, "1");
  expect((await subject.pinned.current()).has(layer.digest)).toBe(true);
  await subject.metadata.tags.remove(REPO, named(parseTag("1")));
  subject.wait(10_001);
  expect((await subject.pinned.current()).has(layer.digest)).toBe(false);
});

test("an image is pinned as its tag is served, and as its registry says", async () => {
  await using subject = await pinnedStore();
  const [old, current] = [image("old"), image("new")];
  await subject.store(old.manifest);
  await subject.store(current.manifest, "1");
  await subject.pinned.current();
  const served = { revision: 0, digest: current.manifest.digest };
  subject.pinned.keepServed({
    get revision() {
      return served.revision;
    },
    of: async () => served.digest,
  });
  const areKept = async () => {
    const pinned = await subject.pinned.current();
    return [old, current].map(({ layer }) => pinned.has(layer.digest));
  };
  expect(await areKept()).toEqual([false, true]);
  // A rollback: no tag and no link has changed.
  Object.assign(served, { revision: 1, digest: old.manifest.digest });
  subject.wait(10_001);
  expect(await areKept()).toEqual([true, true]);
});

test("a platform whose manifest comes later is pinned then", async () => {
  await using subject = await pinnedStore();
  const [one, other] = [image("amd64"), image("arm64")];
  const manifests = [
    { ...descriptor(one.manifest), platform: { os: "linux", architecture: "amd64" } },
    { ...descriptor(other.manifest), platform: { os: "linux", architecture: "arm64" } },
  ];
  const index = contentOf({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }, OCI_INDEX);
  await subject.store(one.manifest);
  await subject.store(index, "1");
  const first = await subject.pinned.current();
  expect([one, other].map(({ layer }) => first.has(layer.digest))).toEqual([true, false]);
  await subject.store(other.manifest);
  subject.wait(10_001);
  const then = await subject.pinned.current();
  expect([one, other].map(({ layer }) => then.has(layer.digest))).toEqual([true, true]);
});

test("a manifest that could not be read is tried again, though nothing has changed", async () => {
  await using subject = await pinnedStore();
  const { manifest, layer } = image("one");
  await subject.store(manifest, "1");
  await subject.blobs.remove(manifest.digest);
  expect((await subject.pinned.current()).has(layer.digest)).toBe(false);
  await storeBytes(subject.blobs, manifest.bytes);
  subject.wait(10_001);
  expect((await subject.pinned.current()).has(layer.digest)).toBe(true);
});

test("images are kept beside the pins, by tag or digest, as far as there is room", async () => {
  await using subject = await pinnedStore();
  await subject.metadata.pins.remove("reg.test/*");
  const images = ["one", "two", "three", "four"].map(image);
  for (const { manifest } of images.slice(0, 3))
    await subject.store(manifest, manifest.digest.slice(-5));
  const [one, two, three, four] = images.map(({ manifest }) => manifest);
  if (!one || !two || !three || !four) throw new Error("there are four");
  const byTag = { ...REPO, tag: named(parseTag(two.digest.slice(-5))) };
  const byDigest = (digest: Digest) => ({ ...REPO, digest });
  const kept = [byDigest(one.digest), byTag, byDigest(three.digest), byDigest(four.digest)];
  const keptLayers = async (): Promise<readonly boolean[]> => {
    const set = await subject.pinned.current();
    return images.map(({ layer }) => set.has(layer.digest));
  };
  subject.pinned.keep({ images: kept, limit: Infinity });
  expect(await keptLayers()).toEqual([true, true, true, false]);
  const { bytes } = await subject.pinned.current();
  subject.pinned.keep({ images: kept, limit: bytes - 1 });
  expect(await keptLayers()).toEqual([true, true, false, false]);
  expect((await subject.pinned.current()).unkept).toBe(1);
  // A pin is a person's wish, and comes first.
  await subject.metadata.pins.put({
    pattern: `reg.test/app@${three.digest}`,
    platforms: [],
    since: 0,
  });
  subject.pinned.keep({ images: kept, limit: bytes - 1 });
  expect(await keptLayers()).toEqual([true, false, true, false]);
  subject.pinned.keep({ images: [], limit: 0 });
  expect(await keptLayers()).toEqual([false, false, true, false]);
});
