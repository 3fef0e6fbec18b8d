import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import { digestOf } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobStore } from "../blob-store.ts";
import { partialConformance } from "./partial-conformance.ts";
import { sampleBytes } from "./sample-bytes.ts";
import { appendAll, rejection, storeBytes } from "./writing.ts";

/**
 * The conformance suite of `BlobStore`, which every adapter has to pass.
 *
 * @param adapter its name, for the titles of the tests
 * @param open opens an empty store; called before each test
 */
export function blobStoreConformance(
  adapter: string,
  open: () => Promise<{ store: BlobStore; close(): Promise<void> }>,
): void {
  describe(`${adapter} as a BlobStore`, () => {
    let store: BlobStore;
    let opened: { store: BlobStore; close(): Promise<void> };
    const blob = sampleBytes(700_001);
    const digest = digestOf(blob);

    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.close());

    partialConformance(() => store);

    test("`prefix` gives readable bytes and their hash state, from which a reader can continue", async () => {
      const writer = await store.writer(digest);
      await appendAll(writer, blob.subarray(0, 300_000));
      const { length, hasher } = writer.prefix();
      expect(length).toBeLessThanOrEqual(300_000);
      expect(await writer.read(0, length)).toEqual(new Uint8Array(blob.subarray(0, length)));
      hasher.update(blob.subarray(length));
      expect(`sha256:${hasher.digest("hex")}`).toBe(digest);
      await appendAll(writer, blob.subarray(300_000));
      expect(writer.verify()).toBe(true);
      await writer.commit();
    });

    test("a quarantined blob is not visible, and can be stored again", async () => {
      await storeBytes(store, blob);
      expect(await store.quarantine(digest)).toBe(true);
      expect(await store.quarantine(digest)).toBe(false);
      expect(await store.open(digest)).toBeUndefined();
      expect(await Array.fromAsync(store.entries())).toEqual([]);
      await storeBytes(store, blob);
      expect((await store.open(digest))?.size).toBe(blob.byteLength);
    });

    test("an empty store has no blobs", async () => {
      expect(await store.open(digest)).toBeUndefined();
      expect(await store.remove(digest)).toBe(false);
      expect(await Array.fromAsync(store.entries())).toEqual([]);
    });

    test.each([0, 1, 262_144, 262_145, 700_001])("a blob of %d bytes is stored", async (size) => {
      const bytes = sampleBytes(size, size);
      const writer = await store.writer(digestOf(bytes));
      await appendAll(writer, bytes);
      expect(writer.length).toBe(size);
      expect(writer.verify()).toBe(true);
      const committed = await writer.commit();
      const found = await store.open(digestOf(bytes));
      for (const stored of [committed, found]) {
        expect(stored?.digest).toBe(digestOf(bytes));
        expect(stored?.size).toBe(size);
        expect(await stored?.bytes.bytes()).toEqual(bytes);
      }
    });

    test("a sha512 digest identifies a blob", async () => {
      const strong = digestOf(blob, "sha512");
      const writer = await store.writer(strong);
      await appendAll(writer, blob);
      expect(writer.verify()).toBe(true);
      await writer.commit();
      expect(await (await store.open(strong))?.bytes.bytes()).toEqual(blob);
      expect(await store.open(digest)).toBeUndefined();
      const [entry] = await Array.fromAsync(store.entries());
      expect(entry?.digest).toBe(strong);
    });

    test("a blob is not visible before `commit`", async () => {
      const writer = await store.writer(digest);
      await appendAll(writer, blob);
      writer.verify();
      expect(await store.open(digest)).toBeUndefined();
      expect(await Array.fromAsync(store.entries())).toEqual([]);
      await writer.discard();
    });

    test("bytes that do not match the digest are never stored", async () => {
      const writer = await store.writer(digest);
      await appendAll(writer, blob.with(350_000, (blob[350_000] ?? 0) ^ 1));
      expect(await rejection(writer.commit())).toBeInstanceOf(Error);
      expect(writer.verify()).toBe(false);
      expect(await rejection(writer.commit())).toBeInstanceOf(Error);
      await writer.discard();
      expect(await store.open(digest)).toBeUndefined();
    });

    test("unverified bytes are never stored, even if they match the digest", async () => {
      const writer = await store.writer(digest);
      await appendAll(writer, blob);
      expect(await rejection(writer.commit())).toBeInstanceOf(Error);
      await writer.discard();
      expect(await store.open(digest)).toBeUndefined();
    });

    test("`append` rejects after `verify`", async () => {
      const writer = await store.writer(digest);
      await appendAll(writer, blob);
      expect(writer.verify()).toBe(true);
      expect(await rejection(writer.append(blob))).toBeInstanceOf(Error);
      await writer.commit();
      expect((await store.open(digest))?.size).toBe(blob.byteLength);
    });

    test("a writer resumes the partial download of a suspended one", async () => {
      const first = await store.writer(digest);
      await appendAll(first, blob.subarray(0, 300_000));
      await first.suspend();
      expect(await store.open(digest)).toBeUndefined();
      const second = await store.writer(digest);
      expect(second.length).toBe(300_000);
      expect(await second.read(299_000, 300_000)).toEqual(blob.slice(299_000, 300_000));
      await appendAll(second, blob.subarray(300_000));
      expect(second.verify()).toBe(true);
      await second.commit();
      expect(await (await store.open(digest))?.bytes.bytes()).toEqual(blob);
    });

    test("discarded bytes, and suspended bytes that do not match the digest, are not resumed", async () => {
      for (const end of ["discard", "suspend"] as const) {
        const writer = await store.writer(digest);
        expect(writer.length).toBe(0);
        await appendAll(writer, blob.subarray(0, 1000));
        if (end === "suspend") expect(writer.verify()).toBe(false);
        await writer[end]();
      }
      const last = await store.writer(digest);
      expect(last.length).toBe(0);
      await last.discard();
    });

    test("a digest and owner have one writer at a time, which ends once", async () => {
      const writer = await store.writer(digest);
      expect(await rejection(store.writer(digest))).toBeInstanceOf(Error);
      await writer.discard();
      expect(await rejection(writer.suspend())).toBeInstanceOf(Error);
      expect(await rejection(writer.discard())).toBeInstanceOf(Error);
      expect(await rejection(writer.commit())).toBeInstanceOf(Error);
      expect(await rejection(writer.append(blob))).toBeInstanceOf(Error);
    });

    test("the writers of a digest that belong to two owners know nothing of each other's bytes", async () => {
      const [mine, other] = [
        await store.writer(digest, "a.test"),
        await store.writer(digest, "b.test"),
      ];
      await appendAll(other, sampleBytes(1000, 9));
      expect(mine.length).toBe(0);
      await other.suspend();
      await appendAll(mine, blob);
      expect(mine.verify()).toBe(true);
      await mine.commit();
      const again = await store.writer(digest, "b.test");
      expect(again.length).toBe(1000);
      await again.discard();
      expect(await (await store.open(digest))?.bytes.bytes()).toEqual(blob);
      expect(await Array.fromAsync(store.partials())).toEqual([]);
    });

    test("two digests can be written concurrently", async () => {
      const other = sampleBytes(500_003, 7);
      const writers = await Promise.all([store.writer(digest), store.writer(digestOf(other))]);
      await Promise.all([appendAll(writers[0], blob), appendAll(writers[1], other)]);
      expect(writers.map((writer) => writer.verify())).toEqual([true, true]);
      await Promise.all(writers.map((writer) => writer.commit()));
      expect(await (await store.open(digest))?.bytes.bytes()).toEqual(blob);
      expect(await (await store.open(digestOf(other)))?.bytes.bytes()).toEqual(other);
    });

    test("appended bytes can be read at once, and after `commit`", async () => {
      const writer = await store.writer(digest);
      const readers: Promise<Uint8Array>[] = [];
      for (let at = 0; at < blob.byteLength; at += 10_007) {
        await writer.append(blob.subarray(at, at + 10_007));
        readers.push(writer.read(at, writer.length), writer.read(0, Math.min(5, writer.length)));
      }
      const pieces = await Promise.all(readers);
      expect(Buffer.concat(pieces.filter((_, at) => at % 2 === 0)).equals(blob)).toBe(true);
      expect(writer.verify()).toBe(true);
      const [before, , during] = await Promise.all([
        writer.read(0, 600_000),
        writer.commit(),
        writer.read(100, 600_100),
      ]);
      expect(before).toEqual(blob.slice(0, 600_000));
      expect(during).toEqual(blob.slice(100, 600_100));
      expect(await writer.read(699_000, 700_001)).toEqual(blob.slice(699_000));
    });

    test("reads between appends do not change what is stored", async () => {
      const writer = await store.writer(digest);
      for (let at = 0; at < blob.byteLength; at += 40_009) {
        await writer.append(blob.subarray(at, at + 40_009));
        // Awaited only sometimes, so that a write may be done or in progress at the next append.
        const reading = writer.read(Math.max(0, writer.length - 10), writer.length);
        if ((at / 40_009) % 3 === 0) await reading;
      }
      expect(writer.verify()).toBe(true);
      const stored = await writer.commit();
      expect(digestOf(await stored.bytes.bytes())).toBe(digest);
    });

    test("reads that began before `discard` succeed, and later ones reject", async () => {
      const writer = await store.writer(digest);
      await writer.append(blob.subarray(0, 500_000));
      const reading = [writer.read(0, 400_000), writer.read(100, 500_000)];
      await writer.discard();
      expect(await reading[0]).toEqual(blob.slice(0, 400_000));
      expect(await reading[1]).toEqual(blob.slice(100, 500_000));
      const error = await rejection(writer.read(0, 1));
      expect(error instanceof Fault && error.detail.kind).toBe("cancelled");
    });

    test("`read` rejects a range beyond the appended bytes", async () => {
      const writer = await store.writer(digest);
      await writer.append(blob.subarray(0, 100));
      for (const [first, end] of [
        [0, 101],
        [-1, 5],
        [6, 5],
      ] as const) {
        expect(await rejection(writer.read(first, end))).toBeInstanceOf(RangeError);
      }
      expect(await writer.read(100, 100)).toEqual(new Uint8Array());
      await writer.discard();
    });

    test("the caller may reuse a chunk after `append`", async () => {
      const writer = await store.writer(digest);
      const chunk = new Uint8Array(1000);
      for (let at = 0; at < blob.byteLength; at += 1000) {
        const part = blob.subarray(at, at + 1000);
        chunk.set(part);
        await writer.append(chunk.subarray(0, part.byteLength));
        chunk.fill(0);
      }
      expect(writer.verify()).toBe(true);
      await writer.commit();
      expect(await (await store.open(digest))?.bytes.bytes()).toEqual(blob);
    });

    test("a blob can be stored again, whether it is stored or was removed", async () => {
      await storeBytes(store, blob);
      await storeBytes(store, blob);
      expect(await Array.fromAsync(store.entries())).toHaveLength(1);
      expect(await store.remove(digest)).toBe(true);
      expect(await store.open(digest)).toBeUndefined();
      expect(await store.remove(digest)).toBe(false);
      await storeBytes(store, blob);
      expect(await (await store.open(digest))?.bytes.bytes()).toEqual(blob);
    });

    test("`entries` lists all blobs with size and time", async () => {
      const started = Date.now() - 60_000;
      const expected = new Map<Digest, number>();
      for (const size of [1, 1000, 300_000]) {
        expected.set(await storeBytes(store, sampleBytes(size, size)), size);
      }
      const entries = await Array.fromAsync(store.entries());
      expect(new Map(entries.map((entry) => [entry.digest, entry.size]))).toEqual(expected);
      for (const entry of entries) {
        const { storedAt } = entry.size === undefined ? { storedAt: NaN } : entry;
        expect(storedAt > started && storedAt < Date.now() + 60_000).toBe(true);
      }
    });
  });
}
