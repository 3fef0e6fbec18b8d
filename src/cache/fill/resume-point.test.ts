import { expect, test } from "bun:test";
import { open, writeFile } from "node:fs/promises";
import { tempDir } from "../../../test/harness/places.ts";
import type { Fault } from "../../oci/fault.ts";
import { DiskBlobWriter } from "../../store/disk/disk-blob-writer.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { Fill } from "./fill.ts";
import { follow } from "./follow.ts";
import type { ChunkReader } from "./source.ts";
import { content, ScriptedSource } from "../cachetest/scripted-source.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * A disk with the beginning of a content, on which nothing more can be written.
 *
 * @param before drafts that are written elsewhere, and well
 */
async function failingDisk(path: string, kept: Uint8Array, before = 0) {
  await writeFile(path, kept);
  const [writing, failing] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const file = await open(path, "r+");
  file.write = async () => {
    writing.resolve();
    await failing.promise;
    throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  };
  const home = {
    publish: () => Promise.reject(new Error("it is never whole")),
    readStored: () => Promise.reject(new Error("it is never stored")),
    closed: () => {},
  };
  const [store, other] = [new MemoryBlobStore(), new MemoryBlobStore()];
  let drafts = 0;
  store.writer = (digest) => {
    drafts += 1;
    return drafts > before ? DiskBlobWriter.open(digest, path, file, home) : other.writer(digest);
  };
  return Object.assign(store, { isWriting: writing.promise, fail: () => failing.resolve() });
}

/** All that comes until the fault for which it is given up, or its end. */
async function readOn(reader: ChunkReader, givenUp: Promise<Fault>) {
  let received = 0;
  const whole = (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return undefined;
      received += value?.length ?? 0;
    }
  })();
  const fault = await Promise.race([whole, givenUp]);
  return { fault, received };
}

test.each([
  ["in the middle of what is read at once", 17 * MIB + 12_345],
  ["between two of what is read at once", 17 * MIB],
])("who is far behind a write that failed gets nothing unverified: %s", async (_, kept) => {
  const { bytes, digest } = content(20 * MIB);
  await using dir = await tempDir("failing");
  const disk = await failingDisk(dir.file("draft"), bytes.subarray(0, kept));
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
  const { fault, received } = await readOn(reader, givenUp);
  expect(fault?.detail.kind).toBe("upstream-invalid-response");
  expect(received).toBeLessThanOrEqual(bytes.length - 64 * KIB);
  // What came before the write failed is not asked for again.
  expect(source.offsets[1]).toBe(fill.resumePoint?.length);
  expect(fill.resumePoint?.length).toBeGreaterThan(kept + 250 * KIB);
  await reader.cancel();
});

test("who has some of what a mirror made up gets no right end to it from a full disk", async () => {
  const { bytes, digest } = content(4 * MIB);
  const wrong = bytes.slice().fill(7, 0, 1000);
  await using dir = await tempDir("failing");
  const disk = await failingDisk(dir.file("draft"), new Uint8Array(), 1);
  const source = new ScriptedSource(bytes, [{ bytes: wrong, isMirror: true }]);
  const fill = new Fill(digest, disk, source);
  await fill.started;
  const { promise: givenUp, resolve: giveUp } = Promise.withResolvers<Fault>();
  const reader = follow(fill, { first: 0, end: bytes.length, giveUp }).getReader();
  let had = 0;
  while (had < 2 * MIB) had += (await reader.read()).value?.length ?? 0;
  await disk.isWriting;
  disk.fail();
  await fill.stored.catch(() => {});
  expect(fill.resumePoint?.length).toBeLessThan(MIB);
  const { fault } = await readOn(reader, givenUp);
  expect(fault?.detail.kind).toBe("upstream-invalid-response");
  await reader.cancel();
});
