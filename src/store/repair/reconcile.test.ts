import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdir, rm, symlink, truncate } from "node:fs/promises";
import { type TempDir, tempDir } from "../../../test/harness/temp-dir.ts";
import { storedBlobs } from "../../../test/harness/cache/store-files.ts";
import type { Digest } from "../../oci/digest.ts";
import { storeBytes } from "../storetest/writing.ts";
import type { BlobEntry, StoredBlob } from "../blob-store.ts";
import { blobFile } from "../disk/blob-file.ts";
import { openDiskBlobStore } from "../disk/disk-blob-store.ts";
import { SidecarFiles } from "../sidecars/sidecar-files.ts";
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

const notInUse = () => false;

/** A store with hooks after its listing and after each lookup, to test concurrent changes. */
class HookedBlobStore extends MemoryBlobStore {
  onListed: () => Promise<unknown> = async () => {};
  onOpened: (digest: Digest) => Promise<unknown> = async () => {};

  override async *entries(): AsyncGenerator<BlobEntry> {
    for await (const entry of super.entries()) yield entry;
    await this.onListed();
  }

  override async open(digest: Digest): Promise<StoredBlob | undefined> {
    const found = await super.open(digest);
    await this.onOpened(digest);
    return found;
  }
}

test("missing records are added, and records of lost blobs are removed", async () => {
  const store = new MemoryBlobStore();
  const [known, unknown] = [
    await storeBytes(store, sampleBytes(10)),
    await storeBytes(store, sampleBytes(20, 2)),
  ];
  await metadata.blobs.put({ digest: known, size: 10 }, 1);
  const lost = await storeBytes(new MemoryBlobStore(), sampleBytes(30, 3));
  await metadata.blobs.put({ digest: lost, size: 30 }, 1);
  const options = { store, metadata, sidecars, inUse: notInUse };
  expect(await reconcile({ ...options, dryRun: true })).toEqual({ found: 1, lost: 1 });
  expect(await reconcile(options)).toEqual({ found: 1, lost: 1 });
  expect((await metadata.blobs.get(unknown))?.size).toBe(20);
  expect(await metadata.blobs.get(lost)).toBeUndefined();
  expect(await reconcile(options)).toEqual({ found: 0, lost: 0 });
});

test("a blob that is evicted while its record is being added is left without one", async () => {
  const store = new HookedBlobStore();
  const digest = await storeBytes(store, sampleBytes(20));
  let lookUps = 0;
  store.onOpened = async () => {
    lookUps += 1;
    if (lookUps > 1) return;
    await store.remove(digest);
    await metadata.blobs.remove([digest]);
  };
  await reconcile({ store, metadata, sidecars, inUse: notInUse });
  expect(await metadata.blobs.get(digest)).toBeUndefined();
});

test("a truncated blob is quarantined, and does not get a record of its new size", async () => {
  const folder = dir.file("data");
  await mkdir(folder);
  const store = await openDiskBlobStore(folder);
  const digest = await storeBytes(store, sampleBytes(10));
  await metadata.blobs.put({ digest, size: 10 }, 1);
  const [cut] = await storedBlobs(folder);
  await truncate(cut?.path ?? "", 4);
  const corrupt: Digest[] = [];
  const onCorrupt = async (found: Digest): Promise<void> => {
    corrupt.push(found);
    await store.quarantine(found);
  };
  await reconcile({ store, metadata, sidecars, inUse: notInUse, onCorrupt });
  expect(corrupt).toEqual([digest]);
  expect(await store.open(digest)).toBeUndefined();
});

test("a file that another process removed counts as lost, although its size is cached", async () => {
  const folder = dir.file("data");
  await mkdir(folder);
  const store = await openDiskBlobStore(folder);
  const digest = await storeBytes(store, sampleBytes(10));
  await metadata.blobs.put({ digest, size: 10 }, 1);
  const [file] = await storedBlobs(folder);
  await rm(file?.path ?? "");
  expect(await reconcile({ store, metadata, sidecars, inUse: notInUse })).toEqual({
    found: 0,
    lost: 1,
  });
  expect(await store.open(digest)).toBeUndefined();
});

test("a blob that is evicted meanwhile gets no record again, and is neither found nor lost", async () => {
  const store = new HookedBlobStore();
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
  store.onListed = () => evict(first);
  store.onOpened = async (digest) => {
    if (digest !== second) return;
    store.onOpened = async () => {};
    await evict(second);
  };
  expect(await reconcile({ store, metadata, sidecars, inUse: notInUse })).toEqual({
    found: 0,
    lost: 0,
  });
  expect(await metadata.blobs.total(1)).toEqual({ count: 0, bytes: 0, diskBytes: 0 });
});

test("a blob that is stored again meanwhile keeps its record", async () => {
  const store = new HookedBlobStore();
  const bytes = sampleBytes(10);
  const digest = await storeBytes(store, bytes);
  await store.remove(digest);
  await metadata.blobs.put({ digest, size: 10 }, 1);
  store.onOpened = async () => {
    store.onOpened = async () => {};
    await storeBytes(store, bytes);
    await metadata.blobs.put({ digest, size: 10 }, 2);
  };
  expect(await reconcile({ store, metadata, sidecars, inUse: notInUse })).toEqual({
    found: 0,
    lost: 0,
  });
  expect((await metadata.blobs.get(digest))?.size).toBe(10);
});

test("the record of a blob that cannot be opened is kept", async () => {
  const store = await openDiskBlobStore(dir.path);
  const digest = await storeBytes(store, sampleBytes(10));
  await metadata.blobs.put({ digest, size: 10 }, 1);
  const path = dir.file(blobFile(digest));
  await rm(path);
  await symlink(path, path);
  const options = { store, metadata, sidecars, inUse: notInUse };
  expect(await reconcile(options)).toEqual({ found: 0, lost: 0 });
  await rm(path);
  expect(await reconcile(options)).toEqual({ found: 0, lost: 1 });
});
