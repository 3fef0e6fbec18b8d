import { expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { storedBlobs } from "../../../test/harness/cache/store-files.ts";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { openUnreportedStorage } from "../../../test/harness/faults/unreported-storage.ts";
import { digestOf } from "../../oci/digest.ts";
import { sampleBytes } from "../../store/storetest/sample-bytes.ts";
import { storeBytes } from "../../store/storetest/writing.ts";
import { countAtStart } from "./start-count.ts";

const SPACE = 40_960;

test("after a crash, blobs without a record count from the start, and what is too much is evicted", async () => {
  await using dir = await tempDir("start-count");
  const data = dir.file("data");
  {
    await using storage = await openUnreportedStorage(data, 1e9);
    for (let seed = 1; seed <= 20; seed += 1) {
      const digest = await storeBytes(storage.store, sampleBytes(SPACE, seed));
      // The others were renamed into place when the process was killed.
      if (seed <= 12) await storage.metadata.blobs.put({ digest, size: SPACE }, seed);
    }
  }
  await rm(`${data}/metadata.db.clean`);
  await using storage = await openUnreportedStorage(data, 15 * SPACE);
  const { budget } = storage;
  expect(budget.blobBytes).toBe(12 * SPACE);
  const inUse = digestOf(sampleBytes(SPACE, 20));
  await countAtStart(storage, (digest) => digest === inUse, AbortSignal.timeout(60_000));
  const stored = await storedBlobs(data);
  expect(budget.used).toBeLessThanOrEqual(budget.limits.maxSize);
  expect(stored.length).toBeLessThan(15);
  expect(stored.map(({ digest }) => digest)).toContain(inUse);
  expect(budget.blobBytes).toBe((stored.length - 1) * SPACE);
});
