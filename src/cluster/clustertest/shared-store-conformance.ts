import { describe, expect } from "bun:test";
import { type Digest, digestOf, parseDigest } from "../../oci/digest.ts";
import type { StoredBlob } from "../../store/blob-store.ts";
import type { SharedStore } from "../shared-store/shared-store.ts";
import { SharedStoreError } from "../shared-store/shared-store-error.ts";

/** Bytes and what a local store would say of them. */
export function sampleShared(
  size: number,
  seed = 1,
): StoredBlob & { readonly content: Uint8Array<ArrayBuffer> } {
  const content = new Uint8Array(size);
  for (let at = 0; at < size; at += 1) content[at] = (at * 31 + seed * 7 + (at >> 8)) & 255;
  return { digest: digestOf(content), size, bytes: new Blob([content]), isInMemory: true, content };
}

/** Reads a body to its end. */
export async function contentOf(
  store: SharedStore,
  digest: Digest,
  offset = 0,
  end?: number,
): Promise<Uint8Array | undefined> {
  const found = await store.read(digest, offset, new AbortController().signal, end);
  if (!found) return undefined;
  const parts = await Array.fromAsync(found.body, (chunk) => chunk.slice());
  return new Uint8Array(Buffer.concat(parts));
}

/**
 * The conformance suite of `SharedStore`, which every adapter has to pass.
 *
 * @param adapter its name, for the titles of the tests
 * @param realTest `test`, or what skips where the adapter cannot be had
 * @param open opens an empty store; called once
 */
export function sharedStoreConformance(
  adapter: string,
  realTest: (name: string, run: () => Promise<void>) => void,
  open: () => Promise<SharedStore>,
): void {
  describe(`${adapter} as a SharedStore`, () => {
    let opening: Promise<SharedStore>;
    const store = (): Promise<SharedStore> => (opening ??= open());
    const blob = sampleShared(300_001);

    realTest("what is not there is neither found nor an error", async () => {
      const shared = await store();
      expect(await shared.size(blob.digest)).toBeUndefined();
      expect(await contentOf(shared, blob.digest)).toBeUndefined();
      await shared.remove([blob.digest]);
      await shared.remove([]);
      expect(await Array.fromAsync(shared.list())).toEqual([]);
    });

    realTest("a blob is read as it was written, from any offset", async () => {
      const shared = await store();
      await shared.write(blob);
      await shared.write(blob);
      expect(await shared.size(blob.digest)).toBe(blob.size);
      const signal = new AbortController().signal;
      const whole = await shared.read(blob.digest, 0, signal);
      expect(whole).toMatchObject({ start: 0, size: blob.size });
      await whole?.body.cancel();
      const tail = await shared.read(blob.digest, 300_000, signal);
      expect(tail).toMatchObject({ start: 300_000, size: blob.size });
      await tail?.body.cancel();
      expect(await contentOf(shared, blob.digest)).toEqual(blob.content);
      expect(await contentOf(shared, blob.digest, 7)).toEqual(blob.content.subarray(7));
      expect(await contentOf(shared, blob.digest, 7, 11)).toEqual(blob.content.subarray(7, 11));
    });

    realTest("an empty blob is a blob", async () => {
      const shared = await store();
      const empty = sampleShared(0);
      await shared.write(empty);
      expect(await shared.size(empty.digest)).toBe(0);
      expect(await contentOf(shared, empty.digest)).toEqual(new Uint8Array());
      await shared.remove([empty.digest]);
    });

    realTest(
      "bytes that are not those of the digest are refused, and nothing is there",
      async () => {
        const shared = await store();
        const { digest } = sampleShared(1000, 2);
        const wrong = { ...sampleShared(1000, 3), digest };
        const error = await shared.write(wrong).catch((cause: unknown) => cause);
        expect(error).toBeInstanceOf(SharedStoreError);
        expect(error).toMatchObject({ problem: { kind: "wrong-bytes" } });
        expect(await shared.size(digest)).toBeUndefined();
      },
    );

    realTest("a blob whose file has vanished says nothing of the store", async () => {
      const shared = await store();
      const { digest, size } = sampleShared(1000, 4);
      const bytes = Bun.file("/nowhere/at/all");
      const error = await shared.write({ digest, size, bytes }).catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(Error);
      expect(error).not.toBeInstanceOf(SharedStoreError);
    });

    realTest("blobs are listed in the order of their digests, from any of them on", async () => {
      const shared = await store();
      const blobs = Array.from({ length: 5 }, (_, at) => sampleShared(10, at + 20));
      for (const one of blobs) await shared.write(one);
      const listed = await Array.fromAsync(shared.list());
      const sorted = [blob, ...blobs].map(({ digest, size }) => ({ digest, size }));
      sorted.sort((one, other) => (one.digest < other.digest ? -1 : 1));
      expect(listed.map(({ digest, size }) => ({ digest, size }))).toEqual(sorted);
      for (const { storedAt } of listed) expect(Date.now() - storedAt).toBeLessThan(60_000);
      const behind = await Array.fromAsync(shared.list(sorted[2]?.digest));
      expect(behind.map(({ digest }) => digest)).toEqual(
        sorted.slice(3).map(({ digest }) => digest),
      );
    });

    realTest("removed blobs are gone, whether they were there or not", async () => {
      const shared = await store();
      const absent = parseDigest(`sha256:${"0".repeat(64)}`);
      if (!absent) throw new Error("unreachable");
      const digests = (await Array.fromAsync(shared.list())).map(({ digest }) => digest);
      await shared.remove([absent, ...digests]);
      expect(await Array.fromAsync(shared.list())).toEqual([]);
      expect(await shared.size(blob.digest)).toBeUndefined();
    });

    realTest("an abort rejects with its reason", async () => {
      const shared = await store();
      const signal = AbortSignal.abort(new RangeError("enough"));
      const calls = [
        () => shared.size(blob.digest, signal),
        () => shared.read(blob.digest, 0, signal),
        () => shared.write(blob, signal),
        () => shared.remove([blob.digest], signal),
        () => Array.fromAsync(shared.list(undefined, signal)),
      ];
      for (const call of calls) {
        expect(await call().catch((cause: unknown) => cause)).toBe(signal.reason);
      }
    });
  });
}
