import { afterAll, describe, expect, test } from "bun:test";
import { type Ceph, CEPH_PACKAGES, startCeph } from "./harness/replicas/ceph.ts";
import { type Content, randomContent } from "./harness/images/content.ts";
import type { Entrepot } from "./harness/cache/entrepot.ts";
import { allBlobs, allManifests, textImage } from "./harness/images/images.ts";
import { pull } from "./harness/cache/pull.ts";
import { isLong, unpackedTests } from "./harness/real-components.ts";
import { digestFrom, type Replicas } from "./harness/replicas/replicas.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import {
  newStore,
  only,
  statusOf,
  type TestStore,
  written,
} from "./harness/replicas/shared-stores.ts";
import { startSlowRelay } from "./harness/registries/slow-relay.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;

const cephTest = await unpackedTests("bookworm-ceph", CEPH_PACKAGES);
/** Of `npm run test:long` alone. */
const longTest = isLong ? cephTest : test.skip;
const closing = new AsyncDisposableStack();
afterAll(() => closing.disposeAsync());

let starting: Promise<Ceph> | undefined;
/** One for all tests of this file. */
function startedCeph(tree: string): Promise<Ceph> {
  starting ??= startCeph(tree).then((started) => closing.use(started));
  return starting;
}

/** Has a cache ask the store for a first time: that takes longer than it may on a busy machine. */
async function warmUp(caches: Replicas, blob: Content): Promise<void> {
  expect(await digestFrom(only(caches), "app", blob)).toBe(blob.digest);
  await until(async () => (await statusOf(only(caches))).store.state === "up", { what: "up" });
}

/** How often the store was given up for its silence. */
async function timeoutsOf(cache: Entrepot): Promise<number> {
  const text = await (await cache.getAdmin("/metrics")).text();
  const found = /^entrepot_source_failures_total{source="store",reason="timeout"} (\d+)/m.exec(
    text,
  );
  return Number(found?.[1] ?? 0);
}

/** Bytes of blobs that the upstream has sent. */
function sent(upstream: ScriptedUpstream): number {
  return upstream.requests({ kind: "blob" }).reduce((sum, request) => sum + request.sent, 0);
}

async function storeOf(tree: string, isThere = true): Promise<TestStore> {
  return newStore(await startedCeph(tree), closing, isThere);
}

/** The store behind a relay. */
function relayed({ settings }: TestStore, port: number): object {
  const url = new URL(settings.url);
  url.port = String(port);
  return { url: url.href };
}

describe("a shared store", () => {
  cephTest("gives what another cache has pulled, where its place has it", async (tree) => {
    const store = await storeOf(tree);
    await using upstream = await startScriptedUpstream();
    const image = textImage();
    upstream.add("app", image, "1");
    const [blob, small] = [randomContent(3 * MIB), randomContent(MIB, 9)];
    for (const one of [blob, small]) upstream.addBlob("app", one);
    await using first = await store.start(upstream);
    await pull(only(first), "app", "1", image);
    expect(await digestFrom(only(first), "app", blob)).toBe(blob.digest);
    await written(only(first), store, [...allManifests(image), ...allBlobs(image), blob]);

    await using second = await store.start(upstream);
    await warmUp(second, small);
    upstream.forget();
    await pull(only(second), "app", "1", image);
    expect(await digestFrom(only(second), "app", blob)).toBe(blob.digest);
    // A byte of each blob at most, to know that this repository has it.
    expect(sent(upstream)).toBeLessThanOrEqual(8);
    // What the store has, and a place has not, is not shown there.
    expect(await digestFrom(only(second), "other", blob)).toStartWith("404");
    expect(await statusOf(only(second))).toMatchObject({ store: { state: "up" }, degraded: [] });

    // Frozen, it costs one download its time-out, and the next ones nothing.
    const before = await timeoutsOf(only(second));
    store.ceph.freeze();
    const others = [1, 2, 3].map((seed) => randomContent(MIB, seed));
    for (const one of others) upstream.addBlob("app", one);
    for (const one of others) expect(await digestFrom(only(second), "app", one)).toBe(one.digest);
    const { store: known, degraded } = await statusOf(only(second));
    expect(known.state).toBe("away");
    expect(degraded.map(({ kind }) => kind)).toEqual(["store-away"]);
    // While its breaker is open, nobody asks it.
    const timeouts = (await timeoutsOf(only(second))) - before;
    expect([1, 2]).toContain(timeouts);
    store.ceph.thaw();
    await written(only(second), store, others);
    expect(await statusOf(only(second))).toMatchObject({ store: { state: "up" }, degraded: [] });
  });

  longTest("that freezes in a transfer is left at that offset", async (tree) => {
    const store = await storeOf(tree);
    await using relay = await startSlowRelay(Number(new URL(store.ceph.url).port), 16 * MIB);
    await using upstream = await startScriptedUpstream();
    const [blob, small] = [randomContent(48 * MIB, 1), randomContent(MIB, 2)];
    for (const one of [blob, small]) upstream.addBlob("app", one);
    await using first = await store.start(upstream);
    for (const one of [blob, small]) await digestFrom(only(first), "app", one);
    await written(only(first), store, [blob, small]);
    await using second = await store.start(upstream, relayed(store, relay.port));
    await warmUp(second, small);
    upstream.forget();
    const digest = digestFrom(only(second), "app", blob);
    await until(() => relay.down > 8 * MIB, { what: "a part of the blob" });
    store.ceph.freeze();
    expect(await digest).toBe(blob.digest);
    store.ceph.thaw();
    expect(sent(upstream)).toBeGreaterThan(0);
    expect(sent(upstream)).toBeLessThan(blob.size - 4 * MIB);
  });

  longTest(
    "that freezes or is killed while it is written to has everything in the end",
    async (tree) => {
      const store = await storeOf(tree);
      await using relay = await startSlowRelay(Number(new URL(store.ceph.url).port), 16 * MIB);
      await using upstream = await startScriptedUpstream();
      const [frozen, killed] = [randomContent(32 * MIB, 1), randomContent(32 * MIB, 2)];
      upstream.addBlob("app", frozen);
      upstream.addBlob("app", killed);
      await using caches = await store.start(upstream, relayed(store, relay.port));
      expect(await digestFrom(only(caches), "app", frozen)).toBe(frozen.digest);
      await until(() => relay.up > 8 * MIB, { what: "a part of the blob" });
      store.ceph.freeze();
      expect(await digestFrom(only(caches), "app", killed)).toBe(killed.digest);
      store.ceph.thaw();
      await until(() => relay.up > 40 * MIB, { what: "a part of the next blob" });
      await store.ceph.kill();
      await until(async () => (await statusOf(only(caches))).store.state === "away", {
        what: "away",
      });
      await store.ceph.startGateway();
      await written(only(caches), store, [frozen, killed]);
      expect((await statusOf(only(caches))).store.state).toBe("up");
    },
  );

  longTest("with wrong bytes loses them, and the pull is right", async (tree) => {
    const store = await storeOf(tree);
    await using upstream = await startScriptedUpstream();
    const [small, large] = [randomContent(MIB, 1), randomContent(24 * MIB, 2)];
    for (const blob of [small, large]) {
      upstream.addBlob("app", blob);
      await store.forge(blob.digest, new Uint8Array(blob.size));
    }
    await using caches = await store.start(upstream);
    for (const blob of [small, large]) {
      expect(await digestFrom(only(caches), "app", blob)).toBe(blob.digest);
    }
    await written(only(caches), store, [small, large]);
    for (const blob of [small, large]) {
      await until(async () => (await store.contentDigest(blob.digest)) === blob.digest, {
        what: "the right bytes in the store",
      });
    }
    const { degraded } = await statusOf(only(caches));
    expect(degraded.map(({ kind }) => kind)).toEqual(["store-corrupt"]);
  });

  longTest("without its bucket is told, and used once it is there", async (tree) => {
    const store = await storeOf(tree, false);
    await using upstream = await startScriptedUpstream();
    const blob = randomContent(MIB, 1);
    upstream.addBlob("app", blob);
    await using caches = await store.start(upstream);
    expect(await digestFrom(only(caches), "app", blob)).toBe(blob.digest);
    const { store: known, degraded } = await statusOf(only(caches));
    expect(known.state).toBe("away");
    expect(degraded.map(({ text }) => text)).toEqual([
      expect.stringMatching(/images-\d+\/cache is not there \(it has no bucket images-\d+\)/),
    ]);
    await store.ceph.createBucket(store.bucket);
    await written(only(caches), store, [blob]);
    expect(await statusOf(only(caches))).toMatchObject({ store: { state: "up" }, degraded: [] });
  });

  longTest("that is full is read, and written to when it has space again", async (tree) => {
    const store = await storeOf(tree);
    await using upstream = await startScriptedUpstream();
    const [there, later] = [randomContent(MIB, 1), randomContent(MIB, 2)];
    for (const blob of [there, later]) upstream.addBlob("app", blob);
    await using first = await store.start(upstream);
    await digestFrom(only(first), "app", there);
    await written(only(first), store, [there]);
    upstream.forget();
    await store.ceph.setQuota(4096);
    await using second = await store.start(upstream);
    expect(await digestFrom(only(second), "app", there)).toBe(there.digest);
    expect(sent(upstream)).toBeLessThanOrEqual(1);
    expect(await digestFrom(only(second), "app", later)).toBe(later.digest);
    const isFull = async (): Promise<boolean> =>
      (await statusOf(only(second))).degraded.some(({ kind }) => kind === "store-full");
    await until(isFull, { what: "the problem" });
    expect((await statusOf(only(second))).store).toMatchObject({ state: "read-only", backlog: 1 });
    await store.ceph.setQuota(-1);
    await written(only(second), store, [later]);
    expect(await statusOf(only(second))).toMatchObject({ store: { state: "up" }, degraded: [] });
  });

  longTest("that may only be read is read", async (tree) => {
    const store = await storeOf(tree);
    await using upstream = await startScriptedUpstream();
    const [there, later] = [randomContent(MIB, 1), randomContent(MIB, 2)];
    for (const blob of [there, later]) upstream.addBlob("app", blob);
    await using first = await store.start(upstream);
    await digestFrom(only(first), "app", there);
    await written(only(first), store, [there]);
    upstream.forget();
    const reader = await store.ceph.reader(store.bucket);
    await using second = await store.start(upstream, reader);
    expect(await digestFrom(only(second), "app", there)).toBe(there.digest);
    expect(sent(upstream)).toBeLessThanOrEqual(1);
    expect(await digestFrom(only(second), "app", later)).toBe(later.digest);
    const kinds = async (): Promise<string[]> =>
      (await statusOf(only(second))).degraded.map(({ kind }) => kind);
    await until(async () => (await kinds()).length > 0, { what: "the problem" });
    expect(await kinds()).toEqual(["store-read-only"]);
    expect((await statusOf(only(second))).store.state).toBe("read-only");
  });
});
