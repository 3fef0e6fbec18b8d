import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { contentOf, type SmallContent } from "../../../test/harness/images/content.ts";
import { until } from "../../../test/harness/waiting.ts";
import { GlobPattern } from "../../config/parsing/glob-pattern.ts";
import { Accept } from "../../oci/accept.ts";
import type { Digest } from "../../oci/digest.ts";
import { OCI_MANIFEST } from "../../oci/media-types.ts";
import { faultOf, repository } from "../../upstream/upstreamtest/test-servers.ts";
import {
  config,
  image,
  imageOf,
  LAYER,
  layers,
  world,
  type WorldOptions,
} from "../../../test/harness/images/image-pulls.ts";

const [one, two, three, four] = layers;

function glob(text: string): GlobPattern {
  const pattern = GlobPattern.compile(text);
  if (typeof pattern === "string") throw new Error(pattern);
  return pattern;
}

const digests = (...contents: readonly (SmallContent | undefined)[]): Digest[] =>
  contents.flatMap((content) => (content ? [content.digest] : []));

test("the first missing layer has those above it downloaded, which a client then gets at once", async () => {
  await using pulls = await world();
  await pulls.manifest();
  expect(await pulls.get(two)).toBe("miss");
  await pulls.stored(config, three, four);
  expect(pulls.requested).toEqual(digests(config, two, three, four));
  const { requests } = pulls;
  // As if the client's own request had fetched it: the first one counts as a miss.
  expect(await pulls.get(three)).toBe("miss");
  expect(await pulls.get(three)).toBe("hit");
  expect(await pulls.get(config)).toBe("miss");
  expect(pulls.requests).toBe(requests);
  const { upstream } = pulls.repo;
  expect(pulls.cache.siblings.usefulness(upstream)).toEqual({ filled: 3, asked: 2 });
  // The lower layer was left to the client, which asks for it now.
  expect(await pulls.get(one)).toBe("miss");
  expect(await pulls.metadata.links.get(pulls.repo, layers[3]?.digest ?? image.digest)).toEqual({
    digest: layers[3]?.digest ?? image.digest,
    size: 10,
    confirmed: true,
  });
});

test("what is stored already is not downloaded again, and is not shown without asking", async () => {
  await using pulls = await world();
  await pulls.manifest();
  // Another repository, of which the cache knows no manifest, has the third layer.
  const other = { ...pulls.repo, repository: repository("other") };
  await pulls.cache.blobs.get(pulls.upstream, other, three?.digest ?? image.digest);
  const before = pulls.requests;
  await pulls.get(two);
  await pulls.stored(config, four);
  expect(pulls.requests).toBe(before + 3);
});

type World = Awaited<ReturnType<typeof world>>;

test.each<[string, WorldOptions, (pulls: World) => Promise<unknown>]>([
  ["a manifest alone", {}, (pulls) => pulls.manifest()],
  ["the config", {}, (pulls) => pulls.get(config)],
  [
    "HEAD",
    {},
    ({ cache, upstream, repo }) => cache.blobs.head(upstream, repo, one?.digest ?? image.digest),
  ],
  [
    "the first two bytes, with which lazy pullers begin",
    {},
    ({ cache, upstream, repo }) =>
      cache.blobs.get(upstream, repo, one?.digest ?? image.digest, {
        kind: "from",
        first: 0,
        last: 1,
      }),
  ],
  [
    "a range from further on",
    {},
    ({ cache, upstream, repo }) =>
      cache.blobs.get(upstream, repo, one?.digest ?? image.digest, { kind: "from", first: 3 }),
  ],
  [
    "several ranges",
    {},
    ({ cache, upstream, repo }) =>
      cache.blobs.get(upstream, repo, one?.digest ?? image.digest, undefined, false),
  ],
  [
    "a layer of an upstream with prefetch: off",
    { settings: { prefetch: "off" } },
    (pulls) => pulls.get(one),
  ],
  ["a layer, where the store has no room", { hasRoom: false }, (pulls) => pulls.get(one)],
  [
    "a layer of an upstream that allows few more requests",
    {
      answer: ({ path }) =>
        path.includes("/manifests/")
          ? new Response(image.bytes, {
              headers: {
                "content-type": OCI_MANIFEST,
                "ratelimit-limit": "100;w=21600",
                "ratelimit-remaining": "8;w=21600",
              },
            })
          : undefined,
    },
    (pulls) => pulls.get(one),
  ],
])("%s has no other layer downloaded", async (_, options, ask) => {
  await using pulls = await world(options);
  await pulls.manifest();
  await ask(pulls);
  await until(() => pulls.cache.fills.count === 0, { what: "no fill is running" });
  expect(pulls.requested.length).toBeLessThanOrEqual(1);
  const { upstream } = pulls.repo;
  expect(pulls.cache.siblings.usefulness(upstream)).toEqual({ filled: 0, asked: 0 });
});

test("by the time that a layer has been sent, those above it are requested", async () => {
  await using pulls = await world();
  await pulls.manifest();
  await pulls.get(one);
  await until(() => pulls.cache.fills.count === 0, { what: "no fill is running" });
  expect(pulls.requested).toHaveLength(5);
});

test.each(["on", "off"] as const)(
  "no download is kept in memory after its end, with prefetch: %s",
  async (prefetch) => {
    await using pulls = await world({ settings: { prefetch } });
    await pulls.manifest();
    await Promise.all(layers.map((layer) => pulls.get(layer)));
    await until(() => pulls.cache.fills.count === 0, { what: "no fill is running" });
    expect(pulls.cache.siblings.watched).toBe(0);
  },
);

test("a repository that bypasses the cache has nothing downloaded ahead", async () => {
  await using pulls = await world({ settings: { bypass: [glob("app")] } });
  await pulls.manifest();
  const result = await pulls.cache.blobs.get(
    pulls.upstream,
    pulls.repo,
    one?.digest ?? image.digest,
  );
  expect(result.cacheStatus.result).toBe("bypass");
  expect(pulls.requested).toEqual(digests(one));
});

test("an upstream that refuses a layer is asked for no more of them, and says so to who asks for that one", async () => {
  await using pulls = await world({
    answer: ({ path }) =>
      path.endsWith(`/blobs/${three?.digest}`) ? new Response("", { status: 403 }) : undefined,
    // One small blob at a time.
    settings: { maxConnections: 2 },
  });
  await pulls.manifest();
  await pulls.get(one);
  await until(() => pulls.requested.includes(three?.digest ?? image.digest), { what: "the layer" });
  await until(() => pulls.cache.fills.count === 0, { what: "no fill is running" });
  expect(pulls.requested).not.toContain(four?.digest);
  const asking = pulls.cache.blobs.get(pulls.upstream, pulls.repo, three?.digest ?? image.digest);
  expect((await faultOf(asking)).kind).toBe("upstream-denied");
  expect(await pulls.get(four)).toBe("miss");
});

test("no request of a client waits for a sibling's connection, of whatever kind it is", async () => {
  const large = contentOf("x".repeat(2 * 1024 * 1024), LAYER);
  const manifest = imageOf([...layers.slice(0, 1), large]);
  await using pulls = await world({
    answer: ({ path }) => {
      if (path.endsWith(`/manifests/${manifest.digest}`))
        return new Response(manifest.bytes, { headers: { "content-type": OCI_MANIFEST } });
      if (!path.endsWith(`/blobs/${large.digest}`)) return undefined;
      // It begins, and never ends.
      const start = (stream: ReadableStreamDefaultController): void =>
        stream.enqueue(large.bytes.subarray(0, 1000));
      return new Response(new ReadableStream({ start }));
    },
    settings: { maxConnections: 1, bypass: [glob("bypassed")] },
  });
  const { cache, upstream, repo } = pulls;
  await cache.manifests.get(upstream, repo, manifest.digest, new Accept(null));
  await pulls.get(one);
  const results: string[] = [];
  for (const name of ["bypassed", "other"]) {
    await until(() => !upstream.registry.hasRoom, { what: "the sibling has the only connection" });
    const from = { ...repo, repository: repository(name) };
    const range = { kind: "from", first: 3 } as const;
    const result = await cache.blobs.get(upstream, from, two?.digest ?? image.digest, range);
    if (result.kind === "streaming") await new Response(result.body({ giveUp: () => {} })).bytes();
    results.push(result.cacheStatus.result);
  }
  expect(results).toEqual(["bypass", "miss"]);
  await cache.fills.drain(0);
});

test("a layer whose link is being recorded is not asked for once more", async () => {
  await using pulls = await world();
  const gate = Promise.withResolvers<void>();
  const { links } = pulls.metadata;
  const add = links.add.bind(links);
  links.add = async (repo, entries) => {
    if (entries.some(({ digest, confirmed }) => confirmed && digest === two?.digest))
      await gate.promise;
    return add(repo, entries);
  };
  await pulls.manifest();
  await pulls.get(one);
  await pulls.stored(two);
  const before = pulls.requestsFor(two);
  const getting = pulls.get(two);
  // Long enough for a question to begin.
  for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  gate.resolve();
  expect(await getting).toBe("miss");
  expect(pulls.requestsFor(two)).toBe(before);
});

test("an upstream that is configured again has as many connections for siblings as it has then", async () => {
  const gate = Promise.withResolvers<void>();
  await using pulls = await world({
    answer: async ({ path }) => {
      if (path.includes("/blobs/") && !digests(one, two).some((digest) => path.endsWith(digest)))
        await gate.promise;
      return undefined;
    },
    settings: { maxConnections: 2 },
  });
  const { upstream, cache, repo } = pulls;
  await pulls.get(one);
  const again = { ...upstream, settings: { ...upstream.settings, maxConnections: 32 } };
  again.registry.configure(again.settings);
  await pulls.manifest();
  await cache.blobs.get(again, repo, two?.digest ?? image.digest);
  const expected = digests(config, one, two, three, four);
  await until(() => pulls.requested.length === expected.length, { what: "all siblings at once" });
  gate.resolve();
  await pulls.stored(config, three, four);
});
