import { expect, test } from "bun:test";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { blobStoreConformance } from "../storetest/blob-store-conformance.ts";
import { storeBytes } from "../storetest/writing.ts";
import type { StoredBlob } from "../blob-store.ts";
import { MemoryBlobStore } from "./memory-blob-store.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";
import { SmallBlobCache } from "./small-blob-cache.ts";

blobStoreConformance("SmallBlobCache", async () => ({
  store: new SmallBlobCache(new MemoryBlobStore()),
  close: async () => undefined,
}));

/** A store that counts calls of `open`, and can return corrupt bytes. */
class CountingBlobStore extends MemoryBlobStore {
  opens = 0;
  isCorrupt = false;

  override async open(digest: Digest): Promise<StoredBlob | undefined> {
    this.opens += 1;
    const stored = await super.open(digest);
    if (!stored || !this.isCorrupt) return stored;
    return { ...stored, bytes: new Blob([new Uint8Array(stored.size)]) };
  }
}

test("a small blob is opened in the store once, and a large one each time", async () => {
  const inner = new CountingBlobStore();
  const store = new SmallBlobCache(inner);
  const [small, large] = [sampleBytes(65_536), sampleBytes(65_537)];
  for (const [blob, expected] of [
    [small, 1],
    [large, 3],
  ] as const) {
    const digest = await storeBytes(store, blob);
    inner.opens = 0;
    for (let turn = 0; turn < 3; turn += 1) {
      const found = await store.open(digest);
      expect(found?.size).toBe(blob.byteLength);
      expect(await found?.bytes.bytes()).toEqual(blob);
    }
    expect(inner.opens).toBe(expected);
  }
});

test("the least recently used blob is dropped when the cache is full", async () => {
  const inner = new CountingBlobStore();
  const store = new SmallBlobCache(inner, { memory: 25_000 });
  const blobs = [1, 2, 3].map((seed) => sampleBytes(10_000, seed));
  for (const blob of blobs) await store.open(await storeBytes(store, blob));
  inner.opens = 0;
  for (const blob of blobs.toReversed()) await store.open(digestOf(blob));
  expect(inner.opens).toBe(1);
});

test("a removed blob is not cached, also when it was being read", async () => {
  const inner = new CountingBlobStore();
  const store = new SmallBlobCache(inner);
  const digest = await storeBytes(store, sampleBytes(1000));
  const reading = store.open(digest);
  await store.remove(digest);
  await reading;
  expect(await store.open(digest)).toBeUndefined();
});

test("a corrupt blob is quarantined and not served", async () => {
  const inner = new CountingBlobStore();
  const store = new SmallBlobCache(inner);
  const blob = sampleBytes(1000);
  const digest = await storeBytes(store, blob);
  inner.isCorrupt = true;
  expect(await store.open(digest)).toBeUndefined();
  inner.isCorrupt = false;
  expect(await store.open(digest)).toBeUndefined();
  await storeBytes(store, blob);
  expect(await (await store.open(digest))?.bytes.bytes()).toEqual(blob);
});
