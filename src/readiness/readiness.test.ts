import { expect, test } from "bun:test";
import { arm, glob, multi, single, wantedWorld } from "../../test/harness/images/wanted-images.ts";
import { ManifestTrees } from "../cache/retention/manifest-trees.ts";
import { imageName, parseImageReference, type ImageReference } from "../oci/image-reference.ts";
import type { Digest } from "../oci/digest.ts";
import { tag } from "../store/storetest/sample-names.ts";
import { repository } from "../upstream/upstreamtest/test-servers.ts";
import { imageReadiness } from "./image-readiness.ts";
import { PulledImages } from "./pulled-images.ts";
import { Readiness, type ReadinessFell } from "./readiness.ts";
import type { WantedImage, WantedImages } from "./wanted.ts";

const signal = new AbortController().signal;

function image(text: string): ImageReference {
  const parsed = parseImageReference(text);
  if (!parsed) throw new Error(text);
  return parsed;
}

/** A source that wants what a test says, or fails. */
function source(wanted: (string | WantedImage)[]): WantedImages & { problem?: string } {
  return {
    name: "cluster",
    async *list() {
      if (this.problem !== undefined) throw new Error(this.problem);
      for (const one of wanted)
        yield typeof one === "string" ? { image: image(one), by: "pod a/b" } : one;
    },
  };
}

type World = Awaited<ReturnType<typeof wantedWorld>>;

function readinessOf(at: World, sources: readonly WantedImages[], now = Date.now): Readiness {
  const trees = new ManifestTrees(at.store, at.metadata.blobs);
  return new Readiness({
    metadata: at.metadata,
    trees,
    upstreams: at.parts.upstreams,
    servedDigest: at.cache.servedDigest.bind(at.cache),
    sources,
    platformsInUse: async () => ["linux/arm64"],
    isPinned: async () => () => false,
    now,
  });
}

test("what is warm is ready, and what is not says what is missing", async () => {
  await using at = await wantedWorld({ settings: { deny: [glob("secret/*")] } });
  await at.warm(["reg.test/multi:1", "reg.test/single:1"]);
  const [layer] = single.blobs.slice(1);
  if (!layer) throw new Error("no layer");
  await at.metadata.blobs.remove([layer.digest]);
  const readiness = readinessOf(at, [
    source([
      "reg.test/multi:1",
      { image: image("reg.test/multi:1"), by: "node n", platforms: ["linux/s390x"] },
      "reg.test/single:1",
      "reg.test/single:2",
      "reg.test/secret/app:1",
      "other.test/app:1",
      `reg.test/single@${single.manifest.digest}`,
    ]),
  ]);
  const report = await readiness.check(signal);
  expect(
    Object.fromEntries(
      report.items.map(({ image: name, state, reason }) => [name, [state, reason]]),
    ),
  ).toEqual({
    // It was warmed for arm64 alone, and runs on both.
    "reg.test/multi:1": ["partial", expect.stringContaining("and more of linux/s390x")],
    "reg.test/single:1": ["partial", `1 blob is missing (${layer.size} B)`],
    [`reg.test/single@${single.manifest.digest}`]: [
      "partial",
      `1 blob is missing (${layer.size} B)`,
    ],
    "reg.test/single:2": ["missing", "it was never pulled through this cache"],
    "reg.test/secret/app:1": [
      "uncached",
      "the configuration does not allow secret/app of reg.test",
    ],
    "other.test/app:1": ["uncached", "other.test is not cached here"],
  });
  expect(report).toMatchObject({
    wanted: 4,
    ready: 0,
    uncached: 2,
    sources: [{ name: "cluster", images: 7 }],
  });
  expect(report.sentence).toBe("If reg.test died now, 4 of its 4 images would not start.");
  const one = await readiness.checkImages([image("reg.test/multi:1")], [], signal);
  expect(one.items).toMatchObject([{ state: "ready", platforms: ["linux/arm64"] }]);
  expect(one.sentence).toBe(
    "The one image that is wanted is here: it starts while its registry is down.",
  );
});

test("a blob of which its repository is not known is not ready: the registry would be asked", async () => {
  await using at = await wantedWorld();
  await at.warm(["reg.test/single:1"]);
  const readiness = readinessOf(at, [source(["reg.test/single:1"])]);
  expect((await readiness.check(signal)).ratio).toBe(1);
  for (const { digest } of single.blobs) await at.metadata.links.removeAll(digest);
  expect(await readiness.check(signal)).toMatchObject({ ratio: 0, items: [{ state: "partial" }] });
});

test("a tag is served until its last check is staleFor ago", async () => {
  const clock = { now: Date.now() };
  await using at = await wantedWorld({ settings: { staleFor: 3_600_000 } });
  await at.warm(["reg.test/single:1"]);
  const readiness = readinessOf(at, [source(["reg.test/single:1"])], () => clock.now);
  const [found] = (await readiness.check(signal)).items;
  expect(found?.state).toBe("ready");
  clock.now = found?.servedUntil ?? 0;
  expect((await readiness.check(signal)).items).toMatchObject([
    { state: "missing", reason: expect.stringContaining("see staleFor of reg.test") },
  ]);
});

test("a source that cannot be read wants what it wanted before", async () => {
  await using at = await wantedWorld();
  const cluster = source(["reg.test/single:1"]);
  const readiness = readinessOf(at, [cluster]);
  await readiness.check(signal);
  cluster.problem = "the cluster \u001b[31mis away";
  expect(await readiness.check(signal)).toMatchObject({
    wanted: 1,
    sources: [{ name: "cluster", images: 1, problem: expect.stringContaining("is away") }],
  });
});

test("a source that was never read is not known to be ready, and says so until it is", async () => {
  await using at = await wantedWorld();
  await at.warm(["reg.test/single:1"]);
  const cluster = source(["reg.test/single:1"]);
  cluster.problem = "the connection was refused";
  const unread = [{ name: "cluster", images: 0, problem: cluster.problem, unread: true }];
  const text = "What is wanted of cluster is not known: not read yet.";
  const alone = readinessOf(at, [cluster]);
  expect(await alone.check(signal)).toMatchObject({ ratio: 0, sentence: text, sources: unread });
  const others = { ...source(["reg.test/single:1"]), name: "lists" };
  const both = await readinessOf(at, [cluster, others]).check(signal);
  expect(both.sentence).toStartWith(`${text} The one image that is wanted is here`);
  delete cluster.problem;
  expect(await alone.check(signal)).toMatchObject({ ratio: 1, sources: [{ images: 1 }] });
});

test("it is told when fewer images are ready than before", async () => {
  await using at = await wantedWorld();
  await at.warm(["reg.test/single:1"]);
  const readiness = readinessOf(at, [source(["reg.test/single:1", "reg.test/multi:1"])]);
  const fell: ReadinessFell[] = [];
  readiness.onFell((one) => fell.push(one));
  await readiness.check(signal);
  await readiness.check(signal);
  expect(fell).toEqual([]);
  await at.metadata.blobs.remove(single.blobs.map(({ digest }) => digest));
  await readiness.check(signal);
  expect(fell).toMatchObject([{ upstream: "reg.test", before: 0.5, ratio: 0 }]);
  expect(fell[0]?.images).toContain("reg.test/single:1");
});

test("an image is as ready as the digest that its tag is served with", async () => {
  await using at = await wantedWorld();
  await at.warm(["reg.test/multi:1", "reg.test/single:1"]);
  const trees = new ManifestTrees(at.store, at.metadata.blobs);
  const stateFor = async (digest: Digest | undefined) =>
    imageReadiness(image("reg.test/multi:1"), ["linux/arm64"], {
      metadata: at.metadata,
      trees,
      upstreams: at.parts.upstreams,
      servedDigest: async () => digest,
    });
  const { manifest } = single;
  expect(await stateFor(manifest.digest)).toMatchObject({ digest: manifest.digest });
  expect(await stateFor(undefined)).toMatchObject({
    state: "missing",
    reason: "policies hold it back, or an operator does: entrepot history shows why",
  });
});

test("what was pulled of late is wanted, for the platforms for which it was, and not what was warmed", async () => {
  await using at = await wantedWorld();
  await at.warm(["reg.test/multi:1", "reg.test/single:1"]);
  const trees = new ManifestTrees(at.store, at.metadata.blobs);
  const { history } = at.metadata;
  const list = async (within: number, now = Date.now) => {
    const pulledSince = (moment: number) => history.pulledSince(moment);
    const servedDigest = at.cache.servedDigest.bind(at.cache);
    const options = {
      metadata: at.metadata,
      trees,
      servedDigest,
      pulledSince,
      within: () => within,
      now,
    };
    const found = await Array.fromAsync(new PulledImages(options).list(signal));
    return found.map(({ image: one, platforms }) => [imageName(one), platforms]);
  };
  expect(await list(60_000)).toEqual([]);
  const repo = { upstream: at.registry.settings.name, repository: repository("multi") };
  const pulled = { repo, reference: tag("1"), client: "10.0.0.1", pulledAt: Date.now(), pulls: 1 };
  await history.add({ minute: 0, upstreams: new Map(), nodes: [], clients: [pulled] });
  expect(await list(60_000)).toEqual([["reg.test/multi:1", ["linux/arm64"]]]);
  // However often it is warmed, it was pulled no more than once.
  await at.warm(["reg.test/multi:1"]);
  expect(await list(0)).toEqual([]);
  expect(await list(60_000, () => Date.now() + 61_000)).toEqual([]);
  // Somebody reads the manifest of another platform: nothing of it was pulled.
  await at.metadata.blobs.remove((arm?.blobs ?? []).map(({ digest }) => digest));
  expect(await list(60_000)).toEqual([]);
  expect(multi.children).toHaveLength(2);
});
