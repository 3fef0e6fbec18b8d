import { expect, test } from "bun:test";
import { setImmediate } from "node:timers/promises";
import { ScriptedSharedStore } from "../clustertest/scripted-shared-store.ts";
import { sampleShared } from "../clustertest/shared-store-conformance.ts";
import { Distrusted } from "./distrusted.ts";
import { SharedAddresses } from "./shared-addresses.ts";
import { SharedStoreHealth } from "./shared-store-health.ts";

const HOST = "cache.test:5000";

async function setup() {
  const store = new ScriptedSharedStore();
  const blob = sampleShared(100);
  await store.write(blob);
  store.asked.length = 0;
  const health = new SharedStoreHealth({ failed: () => {}, recovered: () => {} });
  const distrusted = new Distrusted(store, () => {});
  const clock = { now: 0 };
  const redirected: string[] = [];
  const url = new URL("https://s3.test:9000/b");
  const onRedirected = (digest: string): unknown => redirected.push(digest);
  const options = { store, health, distrusted, url, from: 1, onRedirected };
  const addresses = new SharedAddresses(options, () => clock.now);
  return { store, blob, health, distrusted, clock, redirected, addresses };
}

test("where the store is not known to have a blob, it is sent from here, and looked for", async () => {
  const { addresses, blob, store, redirected } = await setup();
  expect(await addresses.of(blob.digest, HOST)).toBeUndefined();
  await setImmediate();
  expect((await addresses.of(blob.digest, HOST))?.href).toBe(`memory:${blob.digest}`);
  expect([store.count("size"), redirected]).toEqual([1, [blob.digest]]);
});

test("while clients are sent there, it is asked once a second whether it answers", async () => {
  const { addresses, blob, store, clock } = await setup();
  addresses.seen(blob.digest);
  for (const now of [0, 0, 999, 1000, 1500, 2000]) {
    clock.now = now;
    expect(await addresses.of(blob.digest, HOST)).toBeDefined();
    await setImmediate();
  }
  expect(store.count("size")).toBe(3);
  await store.remove([blob.digest]);
  clock.now = 3000;
  await addresses.of(blob.digest, HOST);
  await setImmediate();
  expect(await addresses.of(blob.digest, HOST)).toBeUndefined();
});

test("a store that fails, or may be wrong about a blob, gets no client", async () => {
  const { addresses, blob, store, clock, distrusted } = await setup();
  addresses.seen(blob.digest);
  distrusted.add(blob.digest);
  expect(await addresses.of(blob.digest, HOST)).toBeUndefined();
  await distrusted.settled();
  expect(await addresses.of(blob.digest, HOST)).toBeDefined();
  await setImmediate();
  store.problems.set("size", { kind: "timeout", waitedFor: "answer HEAD", seconds: 2 });
  clock.now = 1000;
  await addresses.of(blob.digest, HOST);
  await setImmediate();
  expect(await addresses.of(blob.digest, HOST)).toBeUndefined();
});

test.each(["s3.test", "s3.test:5000", "S3.TEST.:5000", "test"])(
  "a client that calls the cache %p is sent nothing, for it would send its credentials on",
  async (host) => {
    const { addresses, blob } = await setup();
    addresses.seen(blob.digest);
    expect(await addresses.of(blob.digest, host)).toBeUndefined();
    expect(await addresses.of(blob.digest, HOST)).toBeDefined();
  },
);
