import { expect, test } from "bun:test";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { storeBytes } from "../../store/storetest/writing.ts";
import { until } from "../../../test/harness/waiting.ts";
import type { Digest } from "../../oci/digest.ts";
import type { BlobUse } from "../../store/metadata-store.ts";
import { ScriptedSharedStore } from "../clustertest/scripted-shared-store.ts";
import { sampleShared } from "../clustertest/shared-store-conformance.ts";
import { SharedStoreHealth } from "./shared-store-health.ts";
import { SharedSweep } from "./shared-sweep.ts";
import { SharedWrites } from "./shared-writes.ts";

const DAY = 24 * 3_600_000;
const NOW = 100 * DAY;

test("what the store lacks of the recently used is written, by the replica to which it belongs", async () => {
  const store = new ScriptedSharedStore();
  const local = new MemoryBlobStore();
  const health = new SharedStoreHealth({ failed: () => {}, recovered: () => {} });
  const events = { shared: () => {}, notShareable: () => {}, damaged: () => {}, left: () => {} };
  using stack = new DisposableStack();
  const blobsHere = { store: local, using: <V>(_: unknown, work: () => Promise<V>) => work() };
  const writes = stack.use(new SharedWrites({ store, local: blobsHere, health, events }));
  const blobs = Array.from({ length: 40 }, (_, seed) => sampleShared(100 + seed, seed));
  const records: BlobUse[] = [];
  for (const { content, digest, size } of blobs) {
    await storeBytes(local, content);
    records.push({ digest, size, storedAt: NOW - 2 * DAY, usedAt: NOW - DAY / 2 });
  }
  const [there, old, foreign] = records;
  if (!there || !old || !foreign) throw new Error("unreachable");
  const shared = blobs[0];
  if (shared) await store.write(shared);
  // Evicted from the shared store, perhaps: it has not been used for long.
  Object.assign(old, { usedAt: NOW - 2 * DAY });
  // Others have it, and nobody here.
  await store.write(sampleShared(99, 99));
  records.sort((one, other) => (one.digest < other.digest ? -1 : 1));
  const page = async (limit: number, last = ""): Promise<BlobUse[]> =>
    records.filter(({ digest }) => digest > last).slice(0, Math.min(limit, 1000));
  const options = {
    store,
    health,
    writes,
    records: { page },
    isOwn: async (digest: Digest) => digest !== foreign.digest,
    now: () => NOW,
  };
  const sweep = stack.use(new SharedSweep(options));
  expect(await sweep.run()).toBe(37);
  await until(() => writes.backlog === 0, { what: "the writes" });
  const listed = await Array.fromAsync(store.list());
  expect(listed).toHaveLength(39);
  for (const absent of [old, foreign]) {
    expect(listed.map(({ digest }) => digest)).not.toContain(absent.digest);
  }
  expect(await sweep.run()).toBe(0);
});
