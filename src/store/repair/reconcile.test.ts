import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdir, rm, truncate } from "node:fs/promises";
import { type TempDir, tempDir } from "../../../test/harness/places.ts";
import { storedBlobs } from "../../../test/harness/stored.ts";
import type { Digest } from "../../oci/digest.ts";
import { storeBytes } from "../storetest/writing.ts";
import type { BlobEntry, StoredBlob } from "../blob-store.ts";
import { openDiskBlobStore } from "../disk/disk-blob-store.ts";
import { SidecarFiles } from "../disk/sidecar-files.ts";
import type { MetadataStore } from "../metadata-store.ts";
import { MemoryBlobStore } from "../memory/memory-blob-store.ts";
import { openMetadata } from "../sql/open-metadata.ts";
import { reconcile } from "./reconcile.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";

let dir: TempDir;
let metadata: MetadataStore;
let sidecars: SidecarFiles;

beforeEach(async () => {
  dir = await tempDir("reconcile");
  metadata = await openMetadata(dir.file("metadata.db"));
  sidecars = new SidecarFiles(dir.path);
  await sidecars.open();
});
afterEach(async () => {
  await metadata.close();
  await dir[Symbol.asyncDispose]();
});

const idle = () => false;

/** A store in which something happens between a look and the next one. */
class Busy extends MemoryBlobStore {
  listed: () => Promise<unknown> = async () => {};
  opened: (digest: Digest) => Promise<unknown> = async () => {};

  override async *entries(): AsyncGenerator<BlobEntry> {
    for await (const entry of super.entries()) yield entry;
    await this.listed();
  }

  override async open(digest: Digest): Promise<StoredBlob | undefined> {
    const found = await super.open(digest);
    await this.opened(digest);
    return found;
  }
}

test("files and rows that differ are brought into agreement", async () => {
  const store = new MemoryBlobStore();
  const [known, unknown] = [
    await storeBytes(store, sampleBytes(10)),
    await storeBytes(store, sampleBytes(20, 2)),
  ];
  await metadata.blobs.put({ digest: known, size: 10 }, 1);
  const lost = await storeBytes(new MemoryBlobStore(), sampleBytes(30, 3));
  await metadata.blobs.put({ digest: lost, size: 30 }, 1);
  const options = { store, metadata, sidecars, inUse: idle };
  expect(await reconcile({ ...options, dryRun: true })).toEqual({ found: 1, lost: 1 });
  expect(await reconcile(options)).toEqual({ found: 1, lost: 1 });
  expect((await metadata.blobs.get(unknown))?.size).toBe(20);
  expect(await metadata.blobs.get(lost)).toBeUndefined();
  expect(await reconcile(options)).toEqual({ found: 0, lost: 0 });
});

test("what is shorter than when it was stored is corrupt, and not of another size", async () => {
  const folder = dir.file("data");
  await mkdir(folder);
  const store = await openDiskBlobStore(folder);
  const digest = await storeBytes(store, sampleBytes(10));
  await metadata.blobs.put({ digest, size: 10 }, 1);
  const [cut] = await storedBlobs(folder);
  await truncate(cut?.path ?? "", 4);
  const corrupt: Digest[] = [];
  const onCorrupt = async (one: Digest): Promise<void> => {
    corrupt.push(one);
    await store.quarantine(one);
  };
  await reconcile({ store, metadata, sidecars, inUse: idle, onCorrupt });
  expect(corrupt).toEqual([digest]);
  expect(await store.open(digest)).toBeUndefined();
});

test("a file that others took away is missed, though its size is known", async () => {
  const folder = dir.file("data");
  await mkdir(folder);
  const store = await openDiskBlobStore(folder);
  const digest = await storeBytes(store, sampleBytes(10));
  await metadata.blobs.put({ digest, size: 10 }, 1);
  const [file] = await storedBlobs(folder);
  await rm(file?.path ?? "");
  expect(await reconcile({ store, metadata, sidecars, inUse: idle })).toEqual({
    found: 0,
    lost: 1,
  });
  expect(await store.open(digest)).toBeUndefined();
});

test("what is evicted between two looks gets no row again, and is neither found nor lost", async () => {
  const store = new Busy();
  const [first, second] = [
    await storeBytes(store, sampleBytes(10)),
    await storeBytes(store, sampleBytes(20, 2)),
  ];
  await metadata.blobs.put({ digest: first, size: 10 }, 1);
  await metadata.blobs.put({ digest: second, size: 20 }, 1);
  const evict = async (digest: Digest): Promise<void> => {
    await store.remove(digest);
    await metadata.blobs.remove([digest]);
  };
  store.listed = () => evict(first);
  store.opened = async (digest) => {
    if (digest !== second) return;
    store.opened = async () => {};
    await evict(second);
  };
  expect(await reconcile({ store, metadata, sidecars, inUse: idle })).toEqual({
    found: 0,
    lost: 0,
  });
  expect(await metadata.blobs.total()).toEqual({ count: 0, bytes: 0 });
});

test("what is stored again between two looks keeps its row", async () => {
  const store = new Busy();
  const bytes = sampleBytes(10);
  const digest = await storeBytes(store, bytes);
  await store.remove(digest);
  await metadata.blobs.put({ digest, size: 10 }, 1);
  store.opened = async () => {
    store.opened = async () => {};
    await storeBytes(store, bytes);
    await metadata.blobs.put({ digest, size: 10 }, 2);
  };
  expect(await reconcile({ store, metadata, sidecars, inUse: idle })).toEqual({
    found: 0,
    lost: 0,
  });
  expect((await metadata.blobs.get(digest))?.size).toBe(10);
});
