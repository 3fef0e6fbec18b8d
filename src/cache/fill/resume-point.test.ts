import { expect, test } from "bun:test";
import { open, writeFile } from "node:fs/promises";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import type { Fault } from "../../oci/fault.ts";
import { DiskTimes } from "../../store/disk-times.ts";
import { ByteBudget } from "../../process/byte-budget.ts";
import { BufferPool } from "../../process/buffer-pool.ts";
import { BUFFER_BYTES } from "../../store/disk/appended-bytes.ts";
import { DiskBlobWriter } from "../../store/disk/disk-blob-writer.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { Fill } from "./fill.ts";
import { follow } from "./follow.ts";
import type { ChunkReader } from "../fetch/source.ts";
import { sampleBlob, ScriptedSource } from "../cachetest/scripted-source.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * A store on a full disk that has a partial file of a blob: the first write is announced by
 * `isWriting`, and fails with ENOSPC after `fail` was called.
 *
 * @param healthyWriters so many writers before it work, on another disk
 */
async function failingDisk(path: string, partial: Uint8Array, healthyWriters = 0) {
  await writeFile(path, partial);
  const [writing, failing] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const file = await open(path, "r+");
  file.write = async () => {
    writing.resolve();
    await failing.promise;
    throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  };
  const home = {
    buffers: new BufferPool(BUFFER_BYTES),
    budget: new ByteBudget(Infinity),
    syncBytes: Infinity,
    times: new DiskTimes(),
    sync: async () => {},
    publish: () => Promise.reject(new Error("it is never complete")),
    readStored: () => Promise.reject(new Error("it is never stored")),
    closed: () => {},
  };
  const [store, other] = [new MemoryBlobStore(), new MemoryBlobStore()];
  let writers = 0;
  store.writer = (digest) => {
    writers += 1;
    return writers > healthyWriters
      ? DiskBlobWriter.open(digest, path, file, home)
      : other.writer(digest);
  };
  return Object.assign(store, { isWriting: writing.promise, fail: () => failing.resolve() });
}

/** Reads until the end of the body, or until the follower gives up with a fault. */
async function readToEnd(reader: ChunkReader, givenUp: Promise<Fault>) {
  let received = 0;
  const ended = (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      received += value?.length ?? 0;
    }
  })();
  const fault = await Promise.race([ended, givenUp]);
  return { fault, received };
}

test.each([
  ["in the middle of a block", 17 * MIB + 12_345],
  ["between two blocks", 17 * MIB],
])("a follower far behind a failed write gets nothing unverified: %s", async (_, partialBytes) => {
  const { bytes, digest } = sampleBlob(20 * MIB);
  await using dir = await tempDir("failing");
  const disk = await failingDisk(dir.file("partial"), bytes.subarray(0, partialBytes));
  const wrong = bytes.slice();
  wrong.set([(bytes.at(-1) ?? 0) ^ 1], bytes.length - 1);
  const source = new ScriptedSource(bytes, [{}, { bytes: wrong }]);
  const fill = new Fill(digest, disk, source);
  await fill.started;
  const { promise: givenUp, resolve: giveUp } = Promise.withResolvers<Fault>();
  const reader = follow(fill, { first: 0, end: bytes.length, giveUp }).getReader();
  await disk.isWriting;
  disk.fail();
  await fill.stored.catch(() => {});
  const { fault, received } = await readToEnd(reader, givenUp);
  expect(fault?.detail.kind).toBe("upstream-invalid-response");
  expect(received).toBeLessThanOrEqual(bytes.length - 64 * KIB);
  // Bytes that arrived before the write failed are not downloaded again.
  expect(source.offsets[1]).toBe(fill.resumePoint?.length);
  expect(fill.resumePoint?.length).toBeGreaterThan(partialBytes + BUFFER_BYTES);
  await reader.cancel();
});

test("a follower that received wrong bytes of a mirror does not get the correct rest when the disk is full", async () => {
  const { bytes, digest } = sampleBlob(4 * MIB);
  const wrong = bytes.slice().fill(7, 0, 1000);
  await using dir = await tempDir("failing");
  const disk = await failingDisk(dir.file("partial"), new Uint8Array(), 1);
  const source = new ScriptedSource(bytes, [{ bytes: wrong, isMirror: true }]);
  const fill = new Fill(digest, disk, source);
  await fill.started;
  const { promise: givenUp, resolve: giveUp } = Promise.withResolvers<Fault>();
  const reader = follow(fill, { first: 0, end: bytes.length, giveUp }).getReader();
  let received = 0;
  while (received < 2 * MIB) received += (await reader.read()).value?.length ?? 0;
  await disk.isWriting;
  disk.fail();
  await fill.stored.catch(() => {});
  expect(fill.resumePoint?.length).toBeLessThan(MIB);
  const { fault } = await readToEnd(reader, givenUp);
  expect(fault?.detail.kind).toBe("upstream-invalid-response");
  await reader.cancel();
});
