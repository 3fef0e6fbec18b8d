import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { Fault } from "../../oci/fault.ts";
import type { BlobWriter, StoredBlob } from "../../store/blob-store.ts";
import { MemoryBlobStore } from "../../store/memory/memory-blob-store.ts";
import { rejection } from "../../store/storetest/writing.ts";
import { sampleBlob, ScriptedSource } from "../cachetest/scripted-source.ts";
import { until } from "../../../test/harness/waiting.ts";
import { Commits } from "./commits.ts";
import { Fill } from "./fill.ts";
import { follow } from "./follow.ts";

const EIO = new Fault({ kind: "storage", reason: "write: EIO" });

/** A commit that waits until it is told to go on. */
function slowCommit() {
  const disk = Promise.withResolvers<void>();
  const commit = async (writer: BlobWriter): Promise<StoredBlob> => {
    await disk.promise;
    return writer.commit();
  };
  return { commit, finish: disk.resolve, fail: disk.reject };
}

function bytesOf(fill: Fill, first = 0): Promise<Uint8Array> {
  return new Response(follow(fill, { first, giveUp: () => {} })).bytes();
}

describe("while a verified blob is committed", () => {
  test.each([0, 1, 100_000, 1_000_000])(
    "its followers get all of %p bytes, and nobody says that it is stored",
    async (length) => {
      const { bytes, digest } = sampleBlob(length);
      const { commit, finish } = slowCommit();
      const store = new MemoryBlobStore();
      const fill = new Fill(digest, store, new ScriptedSource(bytes), { commit });
      const early = bytesOf(fill);
      await fill.verified;
      expect([fill.size, fill.isVerified, fill.isStored]).toEqual([length, true, false]);
      expect(Buffer.compare(await early, bytes)).toBe(0);
      const late = bytesOf(fill, Math.floor(length / 2));
      expect(Buffer.compare(await late, bytes.subarray(length / 2))).toBe(0);
      expect(await store.open(digest)).toBeUndefined();
      finish();
      expect((await fill.stored).size).toBe(length);
    },
  );

  test("and that fails, a follower that has begun gets the rest, and the source is not asked again", async () => {
    const { bytes, digest } = sampleBlob(1_000_000);
    const { commit, fail } = slowCommit();
    const source = new ScriptedSource(bytes);
    const store = new MemoryBlobStore();
    const fill = new Fill(digest, store, source, { commit });
    const reader = follow(fill, { first: 0, giveUp: () => {} }).getReader();
    await fill.verified;
    const received = [(await reader.read()).value ?? new Uint8Array()];
    fail(EIO);
    expect(await rejection(fill.stored)).toBe(EIO);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      received.push(value);
    }
    expect(Buffer.compare(Buffer.concat(received), bytes)).toBe(0);
    expect(source.offsets).toEqual([0]);
    await fill.ended;
    expect(await store.open(digest)).toBeUndefined();
    expect((await store.writer(digest, "reg.test")).length).toBe(0);
  });
});

test("no follower gets the last byte of wrong bytes, however they arrive", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        length: fc.integer({ min: 1, max: 300_000 }),
        flipped: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        first: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        breaksAfter: fc.integer({ min: 1, max: 300_000 }),
        isSizeKnown: fc.boolean(),
      }),
      async ({ length, flipped, first, breaksAfter, isSizeKnown }) => {
        const { bytes, digest } = sampleBlob(length);
        const at = Math.floor(flipped * length);
        const wrong = bytes.with(at, (bytes[at] ?? 0) ^ 1);
        const source = new ScriptedSource(wrong, [
          { breaksAfter, ...(isSizeKnown ? {} : { size: "unknown" as const }) },
        ]);
        const fill = new Fill(digest, new MemoryBlobStore(), source, {
          backOff: { random: () => 0 },
        });
        const gaveUp = Promise.withResolvers<Fault>();
        const start = Math.floor(first * length);
        const reader = follow(fill, { first: start, giveUp: gaveUp.resolve }).getReader();
        let position = start;
        const reading = (async () => {
          for (;;) {
            const { done, value } = await reader.read();
            if (done) return "complete";
            position += value.length;
          }
        })();
        expect(await Promise.race([reading, gaveUp.promise])).toBeInstanceOf(Fault);
        expect(position).toBeLessThan(length);
        expect(fill.isVerified).toBe(false);
        await reader.cancel();
      },
    ),
    { numRuns: 50 },
  );
});

test("while too many commits are under way, no blob is begun", async () => {
  const [one, two] = [sampleBlob(1000, 1), sampleBlob(1000, 2)];
  const disk = Promise.withResolvers<void>();
  const store = new MemoryBlobStore();
  const open = store.open.bind(store);
  store.open = async (digest) => {
    await disk.promise;
    return open(digest);
  };
  const commits = new Commits(store, 1, 10);
  const writer = await commits.writer(one.digest);
  await writer.append(one.bytes);
  writer.verify();
  const committed = commits.commit(writer);
  expect(await rejection(commits.writer(two.digest))).toMatchObject({
    detail: {
      kind: "storage",
      reason: expect.stringContaining("the disk is slow: 1 downloaded blob"),
    },
  });
  disk.resolve();
  await committed;
  expect((await commits.writer(two.digest)).length).toBe(0);
});

test("a file that takes long to open is passed by, and can be opened once it is there", async () => {
  const { bytes, digest } = sampleBlob(100_000);
  const disk = Promise.withResolvers<void>();
  const store = new MemoryBlobStore();
  const writer = store.writer.bind(store);
  store.writer = async (...args) => {
    await disk.promise;
    return writer(...args);
  };
  const commits = new Commits(store, 1, 10);
  const fill = new Fill(digest, commits, new ScriptedSource(bytes));
  expect(await rejection(fill.stored)).toMatchObject({ detail: { kind: "storage" } });
  expect(Buffer.compare(await bytesOf(fill), bytes)).toBe(0);
  expect(await rejection(commits.writer(digest, "reg.test"))).toMatchObject({
    message: expect.stringContaining("still being opened"),
  });
  disk.resolve();
  await until(() => commits.writer(digest, "reg.test").catch(() => undefined), {
    what: "the writer",
  });
});
