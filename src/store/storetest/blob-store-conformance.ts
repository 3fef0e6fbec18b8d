import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Digest } from "../../oci/digest.ts";
import { digestOf } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { BlobStore, Draft } from "../blob-store.ts";
import { sampleBytes } from "./sample-bytes.ts";

/** Appends in pieces of a size that divides nothing evenly. */
export async function appendAll(draft: Draft, bytes: Uint8Array, piece = 10_007): Promise<void> {
  for (let at = 0; at < bytes.byteLength; at += piece) {
    await draft.append(bytes.subarray(at, at + piece));
  }
}

export async function storeBytes(store: BlobStore, bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf(bytes);
  const draft = await store.draft(digest);
  await appendAll(draft, bytes, 65_536);
  expect(draft.verify()).toBe(true);
  await draft.commit();
  return digest;
}

/** What is thrown, to look into. */
export async function rejection(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error("it was expected to fail, and did not");
}

/** What every store of bytes has to do. `open` gives an empty one. */
export function blobStoreConformance(
  adapter: string,
  open: () => Promise<{ store: BlobStore; close(): Promise<void> }>,
): void {
  describe(`${adapter} as a store of blobs`, () => {
    let store: BlobStore;
    let opened: { store: BlobStore; close(): Promise<void> };
    const content = sampleBytes(700_001);
    const digest = digestOf(content);

    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.close());

    test("lists what was kept, and forgets it", async () => {
      const draft = await store.draft(digest);
      await appendAll(draft, content.subarray(0, 300_000));
      expect(await store.forget(digest)).toBe(false);
      await draft.keep();
      const [kept] = await Array.fromAsync(store.kept());
      expect([kept?.digest, kept?.size]).toEqual([digest, 300_000]);
      expect(await store.forget(digest)).toBe(true);
      const anew = await store.draft(digest);
      expect(anew.length).toBe(0);
      await anew.discard();
    });

    test("tells from where a reader may go on by itself", async () => {
      const draft = await store.draft(digest);
      await appendAll(draft, content.subarray(0, 300_000));
      const { length, hasher } = draft.prefix();
      expect(length).toBeLessThanOrEqual(300_000);
      expect(await draft.read(0, length)).toEqual(new Uint8Array(content.subarray(0, length)));
      hasher.update(content.subarray(length));
      expect(`sha256:${hasher.digest("hex")}`).toBe(digest);
      await appendAll(draft, content.subarray(300_000));
      expect(draft.verify()).toBe(true);
      await draft.commit();
    });

    test("sets aside what is not to be seen any more", async () => {
      await storeBytes(store, content);
      expect(await store.setAside(digest)).toBe(true);
      expect(await store.setAside(digest)).toBe(false);
      expect(await store.open(digest)).toBeUndefined();
      expect(await Array.fromAsync(store.entries())).toEqual([]);
      await storeBytes(store, content);
      expect((await store.open(digest))?.size).toBe(content.byteLength);
    });

    test("has nothing at first", async () => {
      expect(await store.open(digest)).toBeUndefined();
      expect(await store.remove(digest)).toBe(false);
      expect(await Array.fromAsync(store.entries())).toEqual([]);
    });

    test.each([0, 1, 262_144, 262_145, 700_001])("stores %d bytes", async (size) => {
      const bytes = sampleBytes(size, size);
      const draft = await store.draft(digestOf(bytes));
      await appendAll(draft, bytes);
      expect(draft.length).toBe(size);
      expect(draft.verify()).toBe(true);
      const committed = await draft.commit();
      const found = await store.open(digestOf(bytes));
      for (const stored of [committed, found]) {
        expect(stored?.digest).toBe(digestOf(bytes));
        expect(stored?.size).toBe(size);
        expect(await stored?.bytes.bytes()).toEqual(bytes);
      }
    });

    test("stores by sha512", async () => {
      const strong = digestOf(content, "sha512");
      const draft = await store.draft(strong);
      await appendAll(draft, content);
      expect(draft.verify()).toBe(true);
      await draft.commit();
      expect(await (await store.open(strong))?.bytes.bytes()).toEqual(content);
      expect(await store.open(digest)).toBeUndefined();
      const [entry] = await Array.fromAsync(store.entries());
      expect(entry?.digest).toBe(strong);
    });

    test("shows nothing before the commit", async () => {
      const draft = await store.draft(digest);
      await appendAll(draft, content);
      draft.verify();
      expect(await store.open(digest)).toBeUndefined();
      expect(await Array.fromAsync(store.entries())).toEqual([]);
      await draft.discard();
    });

    test("never stores what is not the content", async () => {
      const draft = await store.draft(digest);
      await appendAll(draft, content.with(350_000, (content[350_000] ?? 0) ^ 1));
      expect(await rejection(draft.commit())).toBeInstanceOf(Error);
      expect(draft.verify()).toBe(false);
      expect(await rejection(draft.commit())).toBeInstanceOf(Error);
      await draft.discard();
      expect(await store.open(digest)).toBeUndefined();
    });

    test("never stores what nobody verified, right as it may be", async () => {
      const draft = await store.draft(digest);
      await appendAll(draft, content);
      expect(await rejection(draft.commit())).toBeInstanceOf(Error);
      await draft.discard();
      expect(await store.open(digest)).toBeUndefined();
    });

    test("takes nothing more once it was asked to verify", async () => {
      const draft = await store.draft(digest);
      await appendAll(draft, content);
      expect(draft.verify()).toBe(true);
      expect(await rejection(draft.append(content))).toBeInstanceOf(Error);
      await draft.commit();
      expect((await store.open(digest))?.size).toBe(content.byteLength);
    });

    test("goes on with what a draft kept", async () => {
      const first = await store.draft(digest);
      await appendAll(first, content.subarray(0, 300_000));
      await first.keep();
      expect(await store.open(digest)).toBeUndefined();
      const second = await store.draft(digest);
      expect(second.length).toBe(300_000);
      expect(await second.read(299_000, 300_000)).toEqual(content.slice(299_000, 300_000));
      await appendAll(second, content.subarray(300_000));
      expect(second.verify()).toBe(true);
      await second.commit();
      expect(await (await store.open(digest))?.bytes.bytes()).toEqual(content);
    });

    test("forgets what a draft discarded, and does not keep what was refused", async () => {
      for (const end of ["discard", "keep"] as const) {
        const draft = await store.draft(digest);
        expect(draft.length).toBe(0);
        await appendAll(draft, content.subarray(0, 1000));
        if (end === "keep") expect(draft.verify()).toBe(false);
        await draft[end]();
      }
      const last = await store.draft(digest);
      expect(last.length).toBe(0);
      await last.discard();
    });

    test("ends a draft once, and has one of a digest at a time", async () => {
      const draft = await store.draft(digest);
      expect(await rejection(store.draft(digest))).toBeInstanceOf(Error);
      await draft.discard();
      expect(await rejection(draft.keep())).toBeInstanceOf(Error);
      expect(await rejection(draft.discard())).toBeInstanceOf(Error);
      expect(await rejection(draft.commit())).toBeInstanceOf(Error);
      expect(await rejection(draft.append(content))).toBeInstanceOf(Error);
    });

    test("writes drafts of two digests at the same time", async () => {
      const other = sampleBytes(500_003, 7);
      const drafts = await Promise.all([store.draft(digest), store.draft(digestOf(other))]);
      await Promise.all([appendAll(drafts[0], content), appendAll(drafts[1], other)]);
      expect(drafts.map((draft) => draft.verify())).toEqual([true, true]);
      await Promise.all(drafts.map((draft) => draft.commit()));
      expect(await (await store.open(digest))?.bytes.bytes()).toEqual(content);
      expect(await (await store.open(digestOf(other)))?.bytes.bytes()).toEqual(other);
    });

    test("gives the bytes of a draft at once, and again after the commit", async () => {
      const draft = await store.draft(digest);
      const readers: Promise<Uint8Array>[] = [];
      for (let at = 0; at < content.byteLength; at += 10_007) {
        await draft.append(content.subarray(at, at + 10_007));
        readers.push(draft.read(at, draft.length), draft.read(0, Math.min(5, draft.length)));
      }
      const pieces = await Promise.all(readers);
      expect(Buffer.concat(pieces.filter((_, at) => at % 2 === 0)).equals(content)).toBe(true);
      expect(draft.verify()).toBe(true);
      const [before, , during] = await Promise.all([
        draft.read(0, 600_000),
        draft.commit(),
        draft.read(100, 600_100),
      ]);
      expect(before).toEqual(content.slice(0, 600_000));
      expect(during).toEqual(content.slice(100, 600_100));
      expect(await draft.read(699_000, 700_001)).toEqual(content.slice(699_000));
    });

    test("stores what was appended, however reads fall between", async () => {
      const draft = await store.draft(digest);
      for (let at = 0; at < content.byteLength; at += 40_009) {
        await draft.append(content.subarray(at, at + 40_009));
        // Waited for, then not: a write may be over or under way when the next bytes come.
        const reading = draft.read(Math.max(0, draft.length - 10), draft.length);
        if ((at / 40_009) % 3 === 0) await reading;
      }
      expect(draft.verify()).toBe(true);
      const stored = await draft.commit();
      expect(digestOf(await stored.bytes.bytes())).toBe(digest);
    });

    test("answers readers that a discard overtakes, and refuses later ones", async () => {
      const draft = await store.draft(digest);
      await draft.append(content.subarray(0, 500_000));
      const reading = [draft.read(0, 400_000), draft.read(100, 500_000)];
      await draft.discard();
      expect(await reading[0]).toEqual(content.slice(0, 400_000));
      expect(await reading[1]).toEqual(content.slice(100, 500_000));
      const refused = await rejection(draft.read(0, 1));
      expect(refused instanceof Fault && refused.detail.kind).toBe("storage");
    });

    test("reads no bytes that are not there", async () => {
      const draft = await store.draft(digest);
      await draft.append(content.subarray(0, 100));
      for (const [first, end] of [
        [0, 101],
        [-1, 5],
        [6, 5],
      ] as const) {
        expect(await rejection(draft.read(first, end))).toBeInstanceOf(RangeError);
      }
      expect(await draft.read(100, 100)).toEqual(new Uint8Array());
      await draft.discard();
    });

    test("lets the chunk be reused", async () => {
      const draft = await store.draft(digest);
      const chunk = new Uint8Array(1000);
      for (let at = 0; at < content.byteLength; at += 1000) {
        const part = content.subarray(at, at + 1000);
        chunk.set(part);
        await draft.append(chunk.subarray(0, part.byteLength));
        chunk.fill(0);
      }
      expect(draft.verify()).toBe(true);
      await draft.commit();
      expect(await (await store.open(digest))?.bytes.bytes()).toEqual(content);
    });

    test("stores again what it has, and what was removed", async () => {
      await storeBytes(store, content);
      await storeBytes(store, content);
      expect(await Array.fromAsync(store.entries())).toHaveLength(1);
      expect(await store.remove(digest)).toBe(true);
      expect(await store.open(digest)).toBeUndefined();
      expect(await store.remove(digest)).toBe(false);
      await storeBytes(store, content);
      expect(await (await store.open(digest))?.bytes.bytes()).toEqual(content);
    });

    test("lists what it has", async () => {
      const started = Date.now() - 60_000;
      const expected = new Map<Digest, number>();
      for (const size of [1, 1000, 300_000]) {
        expected.set(await storeBytes(store, sampleBytes(size, size)), size);
      }
      const entries = await Array.fromAsync(store.entries());
      expect(new Map(entries.map((entry) => [entry.digest, entry.size]))).toEqual(expected);
      for (const entry of entries) {
        expect(entry.storedAt).toBeGreaterThan(started);
        expect(entry.storedAt).toBeLessThan(Date.now() + 60_000);
      }
    });
  });
}
