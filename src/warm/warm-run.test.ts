import { expect, spyOn, test } from "bun:test";
import { setImmediate, setTimeout } from "node:timers/promises";
import * as faults from "../../test/harness/faults/faults.ts";
import { allBlobs, artifact, fallbackTag, textImage } from "../../test/harness/images/images.ts";
import { until } from "../../test/harness/waiting.ts";
import { arm, glob, s390x, single, wantedWorld } from "../../test/harness/images/wanted-images.ts";
import { parseUpstreamName } from "../oci/names.ts";
import { repository } from "../upstream/upstreamtest/test-servers.ts";

test("an image is fetched for the platforms in use, and is whole without its registry then", async () => {
  await using at = await wantedWorld();
  const result = await at.warm(["reg.test/multi:1", "reg.test/single:1"]);
  expect(result).toMatchObject({ images: 2, ready: 2, failed: 0, cut: [] });
  const wanted = [arm?.manifest, ...(arm?.blobs ?? []), ...single.blobs];
  expect(new Set(at.requested)).toEqual(
    new Set(["1", ...wanted.map((content) => content?.digest ?? "")]),
  );
  expect(result.items.find(({ image }) => image.includes("multi"))?.platforms).toEqual([
    "linux/arm64",
  ]);
  expect(at.progress.at(-1)).toMatchObject({
    done: { images: 2, blobs: 4 },
    of: { images: 2, blobs: 4 },
  });
  // Once more, nothing has to be asked, since the tags are fresh.
  at.upstream.forget();
  const again = await at.warm(["reg.test/multi:1", "reg.test/single:1"]);
  expect(again).toMatchObject({ ready: 2, downloaded: { blobs: 0, bytes: 0 } });
  expect(at.upstream.requests()).toEqual([]);
});

test("every platform is fetched with `all`, and one that an image lacks is said", async () => {
  await using at = await wantedWorld();
  await at.warm(["reg.test/multi:1"], { platforms: ["all"] });
  for (const { digest } of [...(arm?.blobs ?? []), ...(s390x?.blobs ?? [])]) {
    expect(await at.isStored(digest)).toBe(true);
  }
  const failed = await at.warm(["reg.test/multi:1"], { platforms: ["linux/riscv64"] });
  expect(failed.items[0]?.reason).toBe("it has no linux/riscv64: it has linux/arm64, linux/s390x");
});

test("two orders for one image share what is downloaded", async () => {
  await using at = await wantedWorld();
  const images = ["reg.test/single:1"];
  const results = await Promise.all([at.warm(images), at.warm(images)]);
  expect(results.map(({ ready }) => ready)).toEqual([1, 1]);
  expect(at.requested.toSorted()).toEqual(
    ["1", ...single.blobs.map(({ digest }) => digest)].toSorted(),
  );
});

test("an order is cancelled in the middle, and a later one goes on with what there is", async () => {
  await using at = await wantedWorld();
  const [, layer] = single.blobs;
  at.upstream.respond(({ reference }) =>
    reference === layer?.digest ? faults.stallAfter(10) : undefined,
  );
  const abort = new AbortController();
  const running = at.warm(["reg.test/single:1"], {}, abort.signal);
  await until(() => at.requested.includes(layer?.digest ?? ""), { what: "the layer is requested" });
  abort.abort(new Error("cancelled"));
  expect(await running.catch((error: Error) => error.message)).toBe("cancelled");
  expect(at.progress.at(-1)).toMatchObject({ done: { images: 0 }, of: { images: 1 } });
  await until(() => at.cache.fills.count === 0, { what: "nothing is downloaded any more" });
  at.upstream.respond();
  at.upstream.forget();
  const result = await at.warm(["reg.test/single:1"]);
  expect(result).toMatchObject({ ready: 1 });
  expect(at.requested).not.toContain("1");
});

test("what fails is said for each image, and the others go on", async () => {
  await using at = await wantedWorld({
    settings: { deny: [glob("secret/*")], bypass: [glob("fluid")] },
  });
  const result = await at.warm([
    "reg.test/none:1",
    "other.test/app:1",
    "reg.test/secret/app:1",
    "reg.test/fluid:1",
    "reg.test/single:>=99",
    "reg.test/single:1",
  ]);
  expect(result).toMatchObject({ images: 6, ready: 1, failed: 2, uncached: 3 });
  expect(Object.fromEntries(result.items.map(({ image, reason }) => [image, reason]))).toEqual({
    "reg.test/none:1": "reg.test has no manifest none:1",
    "other.test/app:1": "other.test is not cached here. Cached registries: reg.test",
    "reg.test/secret/app:1":
      "this cache's configuration does not allow secret/app of reg.test: see allow and deny of the upstream",
    "reg.test/fluid:1": "nothing of fluid of reg.test is stored here: see bypass of the upstream",
    "reg.test/single:>=99": "none of the 1 tags of single matches",
    "reg.test/single:1": undefined,
  });
});

test("a registry that limits requests, or allows few more, is waited for until the time that it said", async () => {
  // Time passes while it sleeps, however busy the machine is.
  let slept = 0;
  const clock = performance.now.bind(performance);
  using _ = spyOn(performance, "now").mockImplementation(() => clock() + slept);
  await using at = await wantedWorld({
    sleep: async (milliseconds) => {
      await setImmediate();
      slept += milliseconds;
    },
  });
  const [, layer] = single.blobs;
  const limit = { headers: { "RateLimit-Limit": "100;w=3600", "RateLimit-Remaining": "3;w=3600" } };
  at.upstream.respond(({ nth, kind, reference, repository: name }) => {
    if (reference === layer?.digest && nth === 1) return faults.tooManyRequests("600");
    return kind === "manifest" && name === "multi" && nth === 1 ? limit : undefined;
  });
  const result = await at.warm(["reg.test/single:1", "reg.test/multi:1"]);
  expect(result).toMatchObject({ ready: 2 });
  const notes = [...new Set(at.progress.flatMap(({ note }) => note ?? []))];
  expect(
    notes.some((note) => /^reg.test limits requests: it is asked again at \d/.test(note)),
  ).toBe(true);
  expect(notes.some((note) => note.startsWith("reg.test allows only 3 of 100 more requests"))).toBe(
    true,
  );
  expect(at.upstream.requests({ reference: layer?.digest ?? "" })).toHaveLength(2);
});

test("a registry that has to be waited for keeps no other one waiting", async () => {
  const name = parseUpstreamName("other.test");
  await using limited = await wantedWorld({ settings: name ? { name } : {} });
  await using at = await wantedWorld({ others: [limited.registry] });
  limited.upstream.respond(() => faults.tooManyRequests("3600"));
  const abort = new AbortController();
  const images = ["a:1", "b:1.*", "c:1", "d:1"].map((image) => `other.test/${image}`);
  images.push("reg.test/single:*", "reg.test/multi:1");
  const running = at.warm(images, {}, abort.signal);
  await until(() => at.progress.at(-1)?.done?.images === 2, { what: "the others are warm" });
  abort.abort(new Error("cancelled"));
  expect(await running.catch((error: Error) => error.message)).toBe("cancelled");
});

test("a tag is looked up anew, also at a registry that is too slow for clients", async () => {
  const { promise: gate, resolve: letGo } = Promise.withResolvers<void>();
  await using at = await wantedWorld({
    settings: { tagTtl: 0 },
    // It answers only once a client would have gone on with what is known.
    sleep: async (_, signal) => {
      letGo();
      await setTimeout(50, undefined, { signal });
    },
  });
  await at.warm(["reg.test/single:1"]);
  const moved = textImage({ text: "moved" });
  at.upstream.add("single", moved, "1");
  at.upstream.respond(async ({ kind }) => {
    if (kind === "manifest") await gate;
    return undefined;
  });
  const { items } = await at.warm(["reg.test/single:1"]);
  expect(items).toMatchObject([{ state: "ready", digest: moved.manifest.digest }]);
  expect(items[0]?.stale).toBeUndefined();
});

test("signatures come with it: referrers, and the tags of cosign", async () => {
  await using at = await wantedWorld();
  const [signature, sbom] = [artifact(single), artifact(single, { text: "an SBOM" })];
  at.upstream.add("single", signature);
  at.upstream.add("single", sbom, `${fallbackTag(single)}.sbom`);
  const result = await at.warm(["reg.test/single:1"], { referrers: true });
  expect(result).toMatchObject({ ready: 1, failed: 0 });
  for (const { digest } of [...allBlobs(signature), ...allBlobs(sbom)]) {
    expect(await at.isStored(digest)).toBe(true);
  }
  // The list itself is what a client asks for first.
  await at.upstream.stop();
  const repo = { upstream: at.registry.settings.name, repository: repository("single") };
  const { value } = await at.cache.referrers.list(at.registry, repo, single.manifest.digest);
  expect(value.isEmpty).toBe(false);
});

test("a range of versions selects the highest, and tells what it left out", async () => {
  await using at = await wantedWorld();
  for (const version of ["1.0.0", "1.1.0", "1.2.0", "2.0.0"]) {
    at.upstream.tag("single", version, single.manifest.digest);
  }
  const result = await at.warm(["reg.test/single:^1.0.0"], { max: 2, pin: true });
  expect(result.items.map(({ image }) => image).toSorted()).toEqual([
    "reg.test/single:1.1.0",
    "reg.test/single:1.2.0",
  ]);
  expect(result.cut).toEqual([{ images: "reg.test/single:^1.0.0", matching: 3 }]);
  expect(at.pinned.toSorted()).toEqual(["reg.test/single:1.1.0", "reg.test/single:1.2.0"]);
});

test("images that do not fit into the store are not begun", async () => {
  await using at = await wantedWorld({ maxSize: 10 });
  const result = await at.warm(["reg.test/single:1"]);
  expect(result.items[0]?.reason).toContain("and the store holds 10 B");
  expect(at.upstream.requests({ kind: "blob" })).toEqual([]);
});
