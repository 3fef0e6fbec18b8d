import { expect, test } from "bun:test";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { openUnreportedStorage } from "../../../test/harness/faults/unreported-storage.ts";
import { digestOf } from "../../oci/digest.ts";
import { sampleBytes } from "../../store/storetest/sample-bytes.ts";
import type { Storage } from "./storage.ts";

const SIZE = 10_000;
/** On the disk. */
const SPACE = 12_288;

async function put({ store, metadata }: Storage, seed: number): Promise<void> {
  const bytes = sampleBytes(SIZE, seed);
  const digest = digestOf(bytes);
  const writer = await store.writer(digest);
  await writer.append(bytes);
  writer.verify();
  await writer.commit();
  await metadata.blobs.put({ digest, size: SIZE }, seed);
}

test("a blob that is stored during a recount is counted exactly once", async () => {
  await using dir = await tempDir("store-admin");
  await using storage = await openUnreportedStorage(dir.file("data"));
  for (let seed = 1; seed <= 5; seed += 1) await put(storage, seed);
  const { blobs } = storage.metadata;
  const total = blobs.total.bind(blobs);
  let stored = 5;
  Object.assign(blobs, {
    total: async (blockSize: number) => {
      const counted = await total(blockSize);
      stored += 1;
      await put(storage, stored);
      return counted;
    },
  });
  await storage.admin.recount();
  expect(storage.budget.blobBytes).toBe(stored * SPACE);

  // An error of the budget is corrected nevertheless, up to the bytes that were stored meanwhile.
  storage.budget.changeBlobBytes(100 * SPACE);
  await storage.admin.recount();
  expect(Math.abs(storage.budget.blobBytes - stored * SPACE)).toBeLessThanOrEqual(2 * SPACE);
  Object.assign(blobs, { total });
  await storage.admin.recount();
  expect(storage.budget.blobBytes).toBe(stored * SPACE);
});
