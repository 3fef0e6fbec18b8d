import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmdirSync } from "node:fs";
import { link, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Digest, digestHex, digestOf, parseDigest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { ListedBlob } from "../blob-store.ts";
import { blobStoreConformance } from "../storetest/blob-store-conformance.ts";
import { appendAll, rejection, storeBytes } from "../storetest/writing.ts";
import { openDiskBlobStore } from "./disk-blob-store.ts";
import { sampleBytes } from "../storetest/sample-bytes.ts";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "entrepot-blobs-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

blobStoreConformance("DiskBlobStore", async () => ({
  store: await openDiskBlobStore(directory),
  close: async () => undefined,
}));

function blobPath(digest: Digest): string {
  const hex = digestHex(digest);
  return join(directory, "blobs", "sha256", hex.slice(0, 2), hex);
}

function fillPath(digest: Digest): string {
  return join(directory, "fills", `sha256-${digestHex(digest)}`);
}

async function storageReason(
  work: Promise<unknown>,
  kind: "storage" | "no-space" = "storage",
): Promise<string> {
  const error = await rejection(work);
  if (error instanceof Fault && error.detail.kind === kind) return error.detail.reason;
  throw new Error(`it failed, but not with a ${kind} fault`, { cause: error });
}

describe("DiskBlobStore", () => {
  const blob = sampleBytes(900_000);
  const digest = digestOf(blob);

  test("uses the documented layout", async () => {
    const store = await openDiskBlobStore(directory);
    await storeBytes(store, blob);
    expect(existsSync(blobPath(digest))).toBe(true);
    expect(await readdir(join(directory, "fills"))).toEqual([]);
    const writer = await store.writer(digestOf(sampleBytes(5)));
    await writer.append(sampleBytes(5));
    await writer.suspend();
    expect(existsSync(fillPath(writer.digest))).toBe(true);
  });

  test("finds its blobs again after it was reopened", async () => {
    await storeBytes(await openDiskBlobStore(directory), blob);
    const store = await openDiskBlobStore(directory);
    expect(await (await store.open(digest))?.bytes.bytes()).toEqual(blob);
  });

  test("lets readers of an open blob finish after it was removed or stored again", async () => {
    const store = await openDiskBlobStore(directory);
    await storeBytes(store, blob);
    const reader = (await store.open(digest))?.bytes.stream().getReader();
    const first = await reader?.read();
    await store.remove(digest);
    await storeBytes(store, blob);
    await store.remove(digest);
    const pieces: Uint8Array[] = first?.value ? [first.value] : [];
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
      pieces.push(next.value);
    }
    expect(Buffer.concat(pieces).equals(blob)).toBe(true);
  });

  test("forgets a file that another process removed once `remove` was called", async () => {
    const store = await openDiskBlobStore(directory);
    await storeBytes(store, blob);
    await rm(blobPath(digest));
    const stale = await store.open(digest);
    expect(await rejection(stale?.bytes.bytes() ?? Promise.resolve())).toBeInstanceOf(Error);
    expect(await store.remove(digest)).toBe(false);
    expect(await store.open(digest)).toBeUndefined();
  });

  test("fails reads of a committed writer whose file was truncated or removed", async () => {
    const store = await openDiskBlobStore(directory);
    const writer = await store.writer(digest);
    await appendAll(writer, blob);
    writer.verify();
    await writer.commit();
    await writeFile(blobPath(digest), blob.subarray(0, 5));
    expect(await storageReason(writer.read(0, 10))).toContain("the file ends at byte 5");
    await store.remove(digest);
    expect(await storageReason(writer.read(0, 10))).toContain(blobPath(digest));
  });

  test("does not list foreign files in its folders", async () => {
    const store = await openDiskBlobStore(directory);
    await storeBytes(store, blob);
    await writeFile(join(directory, "blobs", "sha256", "README"), "hello");
    await mkdir(join(directory, "blobs", "sha256", "00", "lost"), { recursive: true });
    await writeFile(join(directory, "blobs", "sha256", "00", digestHex(digest)), blob);
    const entries = await Array.fromAsync(store.entries());
    expect(entries.map((entry) => entry.digest)).toEqual([digest]);
  });

  test("lists blobs that cannot be looked at, and says which folder cannot be read", async () => {
    const store = await openDiskBlobStore(directory);
    await storeBytes(store, blob);
    const top = join(directory, "blobs", "sha256");
    const hex = "00".repeat(32);
    await mkdir(join(top, "00"), { recursive: true });
    for (const path of [join(top, "00", hex), join(top, "zz")]) await symlink(path, path);
    const listed: ListedBlob[] = [];
    const listing = (async () => {
      for await (const entry of store.entries()) listed.push(entry);
    })();
    expect(await storageReason(listing)).toContain(`list ${join(top, "zz")}`);
    expect(new Map(listed.map((entry) => [entry.digest, entry.size]))).toEqual(
      new Map([
        [digest, blob.byteLength],
        [parseDigest(`sha256:${hex}`) ?? digest, undefined],
      ]),
    );
  });

  test("names the path when a folder cannot be created", async () => {
    await mkdir(join(directory, "blobs"));
    await writeFile(join(directory, "blobs", "sha256"), "in the way");
    const store = await openDiskBlobStore(directory);
    const writer = await store.writer(digest);
    await appendAll(writer, blob);
    expect(writer.verify()).toBe(true);
    expect(await storageReason(writer.commit())).toContain(blobPath(digest));
    await writer.discard();
    expect(await readdir(join(directory, "fills"))).toEqual([]);
    await rm(join(directory, "fills"), { recursive: true });
    await writeFile(join(directory, "fills"), "in the way");
    expect(await storageReason(store.writer(digest))).toContain(
      "a file exists where a directory is needed",
    );
    expect(await storageReason(openDiskBlobStore(directory))).toContain("fills");
    await rm(join(directory, "fills"));
    await mkdir(join(directory, "fills"));
    await (await store.writer(digest)).discard();
  });

  test("after kill -9 during a write, the blob is not visible and the partial file is resumed", async () => {
    const seed = 3;
    const bytes = sampleBytes(2_000_000, seed);
    const target = digestOf(bytes);
    const program = `
      import { openDiskBlobStore } from ${JSON.stringify(join(import.meta.dir, "disk-blob-store.ts"))};
      import { sampleBytes } from ${JSON.stringify(join(import.meta.dir, "../storetest/sample-bytes.ts"))};
      const store = await openDiskBlobStore(${JSON.stringify(directory)});
      const writer = await store.writer(${JSON.stringify(target)});
      await writer.append(sampleBytes(2_000_000, ${seed}).subarray(0, 1_500_000));
      await writer.read(0, 1_200_000);
      console.log("written");
      setInterval(() => undefined, 1000);
    `;
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toContain("written");
    child.kill("SIGKILL");
    await child.exited;

    const store = await openDiskBlobStore(directory);
    expect(await store.open(target)).toBeUndefined();
    expect(await Array.fromAsync(store.entries())).toEqual([]);
    const writer = await store.writer(target);
    expect(writer.length).toBeGreaterThanOrEqual(1_200_000);
    expect(await writer.read(0, writer.length)).toEqual(bytes.slice(0, writer.length));
    await writer.append(bytes.subarray(writer.length));
    expect(writer.verify()).toBe(true);
    await writer.commit();
    expect(await (await store.open(target))?.bytes.bytes()).toEqual(bytes);
  });
});

test("a foreign folder at the path of a blob is quarantined when the blob is stored", async () => {
  const store = await openDiskBlobStore(directory);
  const bytes = sampleBytes(10);
  const hex = digestHex(digestOf(bytes));
  await mkdir(join(directory, "blobs/sha256", hex.slice(0, 2), hex, "below"), { recursive: true });
  expect(await store.open(digestOf(bytes))).toBeUndefined();
  const digest = await storeBytes(store, bytes);
  expect(await (await store.open(digest))?.bytes.bytes()).toEqual(bytes);
  expect(await readdir(join(directory, "quarantine"))).toHaveLength(1);
});

/** Mounts a file system of 1 MiB, which needs root. Returns whether that succeeded. */
function mountSmallDisk(path: string): boolean {
  const command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path];
  return Bun.which("mount") !== null && Bun.spawnSync(command).success;
}

function unmount(path: string): boolean {
  return Bun.spawnSync(["umount", "--lazy", path]).success;
}

function canMount(): boolean {
  const path = mkdtempSync(join(tmpdir(), "entrepot-mount-"));
  const isMountable = mountSmallDisk(path) && unmount(path);
  rmdirSync(path);
  return isMountable;
}

describe("DiskBlobStore on a full disk", () => {
  test.skipIf(!canMount())(
    "fails with no-space, stores nothing, and resumes once space is free",
    async () => {
      expect(mountSmallDisk(directory)).toBe(true);
      try {
        const store = await openDiskBlobStore(directory);
        const blob = sampleBytes(1_000_000, 9);
        const ballast = join(directory, "ballast");
        await writeFile(ballast, sampleBytes(600_000));
        const writer = await store.writer(digestOf(blob));
        const fail = async (): Promise<void> => {
          await appendAll(writer, blob);
          writer.verify();
          await writer.commit();
        };
        expect(await storageReason(fail(), "no-space")).toContain("the disk is full (ENOSPC)");
        expect(await store.open(writer.digest)).toBeUndefined();
        await writer.suspend();

        await rm(ballast);
        const resumed = await store.writer(writer.digest);
        expect(resumed.length).toBeGreaterThan(0);
        expect(resumed.length).toBeLessThan(blob.byteLength);
        await resumed.append(blob.subarray(resumed.length));
        expect(resumed.verify()).toBe(true);
        await resumed.commit();
        expect(await (await store.open(writer.digest))?.bytes.bytes()).toEqual(blob);
      } finally {
        unmount(directory);
      }
    },
  );
});

test("partial files that are links are not written through", async () => {
  const store = await openDiskBlobStore(directory);
  const digest = digestOf(sampleBytes(10));
  const elsewhere = join(directory, "elsewhere");
  await writeFile(elsewhere, "x");
  await symlink(elsewhere, fillPath(digest));
  expect(await storageReason(store.writer(digest))).toContain("a symbolic link is where a file");
  await rm(fillPath(digest));
  await link(elsewhere, fillPath(digest));
  expect(await storageReason(store.writer(digest))).toContain("another name elsewhere");
  expect(await readFile(elsewhere, "utf8")).toBe("x");
});
