import { expect, test } from "bun:test";
import { digestOf } from "../../oci/digest.ts";
import { MemoryBlobStore } from "../memory/memory-blob-store.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";
import { storeBytes } from "../storetest/writing.ts";
import { expirePartials } from "./expire-partials.ts";

const DAY = 24 * 3_600_000;
const bytes = sampleBytes(1000);

/** A store with a partial download of two upstreams, last written at the epoch. */
async function storeWithPartials() {
  const store = new MemoryBlobStore();
  for (const [owner, length] of [["a.test", 10] as const, ["b.test", 200] as const]) {
    const writer = await store.writer(digestOf(bytes), owner);
    await writer.append(bytes.subarray(0, length));
    await writer.suspend();
  }
  return store;
}

const count = async (store: MemoryBlobStore) => (await Array.fromAsync(store.partials())).length;

test("partial downloads are kept for a day, if their blob is missing", async () => {
  const store = await storeWithPartials();
  expect(await expirePartials(store, DAY - 1)).toBe(0);
  expect(await count(store)).toBe(2);
  expect(await expirePartials(store, DAY, true)).toBe(210);
  expect(await count(store)).toBe(2);
  expect(await expirePartials(store, DAY)).toBe(210);
  expect(await count(store)).toBe(0);
});

test("a partial download is of no use once the blob was stored, unless it is being written", async () => {
  const store = await storeWithPartials();
  const active = await store.writer(digestOf(bytes), "a.test");
  await storeBytes(store, bytes);
  expect(await expirePartials(store, 0)).toBe(200);
  await active.suspend();
  expect(await expirePartials(store, 0)).toBe(10);
});
