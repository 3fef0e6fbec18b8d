import { describe, expect, test } from "bun:test";
import { until } from "../../test/harness/waiting.ts";
import { sampleBlob } from "../cache/cachetest/scripted-source.ts";
import { digestOf } from "../oci/digest.ts";
import { serve } from "../upstream/upstreamtest/test-servers.ts";
import { urlAt } from "./clustertest/local-replica.ts";
import { knows, one, SIZE, upstreamAt, world } from "../../test/harness/replicas/local-cluster.ts";

describe("replicas", () => {
  test("download a blob once for all, and ask the upstream nothing besides", async () => {
    await using here = world(3);
    const all = await here.startAll();
    const blob = here.blobFor();
    const bodies = await Promise.all(all.map((replica) => replica.blob(blob.digest)));
    for (const body of bodies) expect(body).toEqual(blob.bytes);
    expect(here.upstream.requests).toHaveLength(1);
    // What another one has vouched for is a hit from then on.
    for (const replica of all) await replica.blob(blob.digest);
    expect(here.upstream.requests).toHaveLength(1);
  });

  test("have what the others stored before they came", async () => {
    await using here = world(2);
    const blob = here.blobFor(0, 1);
    const second = await here.start(1);
    await second.blob(blob.digest);
    const first = await here.start(0);
    expect(await first.blob(blob.digest)).toEqual(blob.bytes);
    expect(here.upstream.requests).toHaveLength(1);
  });

  test("go on without one that is gone, in the order of those that are left", async () => {
    await using here = world(3);
    const [first, second, third] = [await here.start(0), await here.start(1), await here.start(2)];
    const blob = here.blobFor(0, 1, 2);
    await first[Symbol.asyncDispose]();
    const bodies = await Promise.all([second.blob(blob.digest), third.blob(blob.digest)]);
    for (const body of bodies) expect(body).toEqual(blob.bytes);
    expect(here.upstream.requests).toHaveLength(1);
    await until(() => second.problems().includes("silent-member"), { what: "the problem" });
    // An operator takes it off the list.
    second.cluster.configure({ ...second.settings, members: here.ports.slice(1).map(urlAt) });
    expect(second.problems()).not.toContain("silent-member");
    expect(second.cluster.size).toBe(2);
  });

  test("show each other only what may be seen in a place", async () => {
    await using here = world(2);
    const all = await here.startAll();
    const blob = here.blobFor(0, 1);
    await one(all, 0).blob(blob.digest);
    expect(one(all, 1).blob(blob.digest, "private")).rejects.toThrow("has no blob");
    expect(await one(all, 1).blob(blob.digest)).toEqual(blob.bytes);
  });

  test("are not asked to download what their own nodes may not have", async () => {
    await using here = world(2);
    const first = await here.start(0, { denied: ["app"] });
    const second = await here.start(1);
    await Promise.all([knows(first, 2), knows(second, 2)]);
    const blob = here.blobFor(0, 1);
    expect(await second.blob(blob.digest)).toEqual(blob.bytes);
    expect(first.cache.fills.count).toBe(0);
    expect(here.upstream.requests).toHaveLength(1);
  });

  test("that know each other by other names download at most once each, and wait for nobody", async () => {
    await using here = world(2);
    const named = here.ports.map((port) => new URL(`http://localhost:${port}`));
    const first = await here.start(0);
    const second = await here.start(1, { cluster: { members: named } });
    for (let n = 0; n < 12; n += 1) {
      const blob = here.blobFor();
      const before = here.upstream.requests.length;
      const bodies = await Promise.all([first.blob(blob.digest), second.blob(blob.digest)]);
      for (const body of bodies) expect(body).toEqual(blob.bytes);
      expect(here.upstream.requests.length - before).toBeWithin(1, 3);
    }
    const problems = () => new Set([...first.problems(), ...second.problems()]);
    await until(() => problems().size > 0, { what: "the problem" });
    expect(problems()).toEqual(new Set(["members-differ"]));
  });

  test("manifests by digest come from one download as well", async () => {
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: { mediaType: "application/json", digest: digestOf(Buffer.from("{}")), size: 2 },
      layers: [],
    });
    const digest = digestOf(Buffer.from(text));
    using upstream = serve(
      () =>
        new Response(text, {
          headers: { "content-type": "application/vnd.oci.image.manifest.v1+json" },
        }),
    );
    await using here = world(3);
    const options = { upstream: upstreamAt(upstream) };
    const all = await Promise.all([0, 1, 2].map((number) => here.start(number, options)));
    await Promise.all(all.map((replica) => knows(replica, 3)));
    const texts = await Promise.all(all.map((replica) => replica.manifest(digest)));
    expect(new Set(texts)).toEqual(new Set([text]));
    expect(upstream.requests).toHaveLength(1);
  });
});

describe("a replica serves alone, and says why, if", () => {
  test("its secret differs", async () => {
    await using here = world(2);
    const first = await here.start(0);
    const second = await here.start(1, { cluster: { secret: "another secret of a cluster" } });
    const blob = here.blobFor(0, 1);
    expect(await second.blob(blob.digest)).toEqual(blob.bytes);
    expect(await first.blob(blob.digest)).toEqual(blob.bytes);
    expect(here.upstream.requests).toHaveLength(2);
    for (const replica of [first, second]) {
      await until(() => replica.problems().includes("wrong-secret"), { what: "the problem" });
    }
  });

  test("its clock is an hour ahead", async () => {
    await using here = world(2);
    const first = await here.start(0);
    const second = await here.start(1, { now: () => Date.now() + 3_600_000 });
    const blob = here.blobFor(0, 1);
    expect(await second.blob(blob.digest)).toEqual(blob.bytes);
    for (const replica of [first, second]) {
      await until(() => replica.problems().includes("clock"), { what: "the problem" });
    }
    const [problem] = second.cluster.problems.current;
    expect(problem?.text).toContain("(this machine is 3600 s ahead of it)");
  });

  test("a member is somebody else's server, whatever that answers", async () => {
    await using here = world(2);
    const blob = here.blobFor(0, 1);
    const wrong = sampleBlob(SIZE, 99_999).bytes;
    const asked: string[] = [];
    using _ = Bun.serve({
      hostname: "127.0.0.1",
      port: one(here.ports, 0),
      fetch({ url }) {
        asked.push(url);
        const range = `bytes 0-${SIZE - 1}/${SIZE}`;
        const headers = { "content-range": range, "entrepot-answered-ago": "0" };
        return new Response(wrong, { status: 206, headers });
      },
    });
    const replica = await here.start(1);
    expect(await replica.blob(blob.digest)).toEqual(blob.bytes);
    expect(here.upstream.requests).toHaveLength(1);
    await until(() => replica.problems().includes("foreign-member"), { what: "the problem" });
    expect(asked.length).toBeGreaterThan(0);
  });

  test("another one has its address", async () => {
    await using here = world(2);
    const first = await here.start(0);
    const twin = await here.start(1, { cluster: { advertise: urlAt(one(here.ports, 0)) } });
    // Whoever came first hears of it, and so does the other one.
    for (const replica of [first, twin])
      await until(() => replica.problems().includes("duplicate-id"), { what: "the problem" });
    // It is found at the address where it answers itself.
    await knows(twin, 2);
    const blob = here.blobFor(0, 1);
    const bodies = await Promise.all([first.blob(blob.digest), twin.blob(blob.digest)]);
    for (const body of bodies) expect(body).toEqual(blob.bytes);
  });
});
