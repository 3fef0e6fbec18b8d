import { expect, test } from "bun:test";
import { tempDir } from "../../../test/harness/places.ts";
import { digestOf } from "../../oci/digest.ts";
import { sampleBytes } from "../../store/storetest/sample-bytes.ts";
import { type Storage, openStorage } from "./storage.ts";

const SIZE = 10_000;

async function openStore(dataDirectory: string): Promise<Storage> {
  const ignored = (): void => {};
  return openStorage(
    { dataDirectory, storage: { maxSize: 1e9, minFree: 0, scrub: 0 }, upstreams: new Map() },
    { full: ignored, removed: ignored, unwritten: ignored, damaged: ignored, failed: ignored },
  );
}

async function put({ store, metadata }: Storage, seed: number): Promise<void> {
  const bytes = sampleBytes(SIZE, seed);
  const digest = digestOf(bytes);
  const writer = await store.writer(digest);
  await writer.append(bytes);
  writer.verify();
  await writer.commit();
  await metadata.blobs.put({ digest, size: SIZE }, seed);
}

test("what is stored or goes while bytes are counted is not forgotten, nor counted twice", async () => {
  await using dir = await tempDir("steward");
  await using storage = await openStore(dir.file("data"));
  for (let seed = 1; seed <= 5; seed += 1) await put(storage, seed);
  const { blobs: contents } = storage.metadata;
  const total = contents.total.bind(contents);
  let stored = 5;
  Object.assign(contents, {
    total: async () => {
      const counted = await total();
      stored += 1;
      await put(storage, stored);
      return counted;
    },
  });
  await storage.admin.recount();
  expect(storage.budget.blobBytes).toBe(stored * SIZE);

  // And what was added up wrongly is mended all the same, as far as can be known.
  storage.budget.changeBlobBytes(100 * SIZE);
  await storage.admin.recount();
  expect(Math.abs(storage.budget.blobBytes - stored * SIZE)).toBeLessThanOrEqual(2 * SIZE);
  Object.assign(contents, { total });
  await storage.admin.recount();
  expect(storage.budget.blobBytes).toBe(stored * SIZE);
});
