import type { FileHandle } from "node:fs/promises";
import { mkdir, rename, rm, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import type { Digest } from "../../oci/digest.ts";
import type { BlobStore, BlobWriter, ListedBlob, PartialEntry, StoredBlob } from "../blob-store.ts";
import { ByteBudget } from "../../process/byte-budget.ts";
import { blobFile } from "./blob-file.ts";
import { BUFFER_BYTES } from "./appended-bytes.ts";
import { BufferPool } from "../../process/buffer-pool.ts";
import { ExtentJournal } from "./extent-journal.ts";
import { fileNames, fileSize, makeFolder } from "./file-facts.ts";
import { listPartials } from "./list-partials.ts";
import type { WriterHost } from "./disk-blob-writer.ts";
import { DiskBlobWriter } from "./disk-blob-writer.ts";
import { FolderLook } from "./folder-look.ts";
import { listBlobs } from "./list-blobs.ts";
import { openPartialFile } from "./partial-file.ts";
import { Syncs } from "./syncs.ts";
import { partialName, type PartialName } from "../partial-name.ts";
import { DiskTimes } from "../disk-times.ts";
import { removeFile } from "../remove-file.ts";
import { renameOver } from "../replace-file.ts";
import { storageFault, systemCode } from "../storage-fault.ts";

/** How many quarantined blobs are kept for an operator; the oldest are deleted. */
const MAX_QUARANTINED = 16;

/**
 * The folder in which `entrepot adopt` prepares copies before they become blobs. Opening the store
 * deletes what a killed process left in it.
 */
export const ADOPTING_FOLDER = "adopting";

/** Blob sizes in the LRU cache, which saves a stat(2) per lookup: about 5 MB of memory when full. */
const MAX_CACHED_SIZES = 16_384;

const SYNC_BYTES = 16 * 1024 * 1024;

/** What writing blobs may take of the memory. */
export type WriteOptions = Pick<WriterHost, "budget" | "syncBytes" | "times">;

/**
 * Opens the blob store of a data directory, which has to exist. Its layout:
 * - `blobs/<algorithm>/<first two hex digits>/<hex digits>`: stored blobs;
 * - `fills/<algorithm>-<hex digits>[-<owner's hash>]`: partial downloads, in progress or suspended;
 * - `quarantine/<time>-<algorithm>-<hex digits>`: blobs that were found corrupt.
 *
 * @throws Fault of kind `no-space` or `storage`
 */
export async function openDiskBlobStore(
  directory: string,
  options: Partial<WriteOptions> = {},
): Promise<DiskBlobStore> {
  await createFolders(directory);
  await rm(join(directory, ADOPTING_FOLDER), { recursive: true, force: true }).catch(() => {});
  return new DiskBlobStore(directory, options);
}

async function createFolders(directory: string): Promise<void> {
  for (const folder of ["blobs", "fills"]) await makeFolder(join(directory, folder));
}

export class DiskBlobStore implements BlobStore {
  readonly #directory: string;
  readonly #sizes = new LRUCache<Digest, number>(growingTo(MAX_CACHED_SIZES));
  readonly #blobsFolder: FolderLook;
  readonly #openWriters = new Set<PartialName>();
  /** Blobs that are being removed; each promise resolves when the file is gone. */
  readonly #removing = new Map<Digest, Promise<void>>();
  /** Folders whose entry in their parent folder is known to be synced. */
  readonly #durableFolders = new Set<string>();
  readonly #syncs: Syncs;
  readonly #writerHost: Omit<WriterHost, "closed">;
  /** How many removals began so far: a `stat` that one overtook must not fill the size cache. */
  #removals = 0;

  constructor(
    directory: string,
    {
      budget = new ByteBudget(Infinity),
      syncBytes = SYNC_BYTES,
      times = new DiskTimes(),
    }: Partial<WriteOptions>,
  ) {
    this.#directory = directory;
    this.#blobsFolder = new FolderLook(join(directory, "blobs"));
    this.#syncs = new Syncs(times);
    this.#writerHost = {
      buffers: new BufferPool(BUFFER_BYTES),
      budget,
      syncBytes,
      times,
      sync: (file) => this.#syncs.file(file),
      publish: (digest, path, size) => this.#publish(digest, path, size),
      readStored: (digest, first, end) => this.#readStored(digest, first, end),
    };
  }

  /** Makes folders again that somebody removed: what was in them counts as not stored. */
  async foldersVanished(): Promise<void> {
    this.#forgetFiles();
    await createFolders(this.#directory);
  }

  #forgetFiles(): void {
    this.#sizes.clear();
    this.#removals += 1;
    this.#durableFolders.clear();
  }

  async open(digest: Digest, shouldRecheck = false): Promise<StoredBlob | undefined> {
    const path = this.#blobPath(digest);
    // A path whose file is being removed must not be returned.
    await this.#removing.get(digest);
    if (shouldRecheck) this.#sizes.delete(digest);
    // The file is opened only when it is sent, and then it is too late to fetch the blob.
    if (this.#sizes.has(digest) && this.#blobsFolder.hasVanished()) this.#forgetFiles();
    let size = this.#sizes.get(digest);
    if (size === undefined) {
      const removals = this.#removals;
      size = await fileSize(path);
      if (size === undefined) return undefined;
      // A removal that began meanwhile would otherwise be undone by the size that is cached here.
      if (removals !== this.#removals && this.#removing.has(digest)) return this.open(digest);
      if (removals === this.#removals) this.#sizes.set(digest, size);
    }
    return { digest, size, bytes: Bun.file(path) };
  }

  /** Of a file, it has no memory: inspection and repair read every one themselves. */
  readFailed(_: Digest, cause: unknown): boolean {
    // Where one is gone that was not evicted, others may be as well.
    if (systemCode(cause) === "ENOENT") this.#forgetFiles();
    return false;
  }

  async writer(digest: Digest, owner = ""): Promise<BlobWriter> {
    const name = partialName(digest, owner);
    if (this.#openWriters.has(name)) throw new Error(`${name} already has a writer`);
    this.#openWriters.add(name);
    const path = this.#partialPath(name);
    let file: FileHandle | undefined;
    try {
      file = await this.#writerHost.times.measure("opening a file", () => openPartialFile(path));
      const closed = (): void => void this.#openWriters.delete(name);
      return await DiskBlobWriter.open(digest, path, file, { ...this.#writerHost, closed });
    } catch (cause) {
      this.#openWriters.delete(name);
      await file?.close();
      throw storageFault(`write ${path}`, cause);
    }
  }

  async remove(digest: Digest): Promise<boolean> {
    const path = this.#blobPath(digest);
    return this.#detach(digest, `remove ${path}`, () => unlink(path));
  }

  entries(): AsyncIterable<ListedBlob> {
    return listBlobs(this.#directory);
  }

  async *partials(): AsyncGenerator<PartialEntry> {
    for await (const partial of listPartials(join(this.#directory, "fills"))) {
      if (!this.#openWriters.has(partial.name)) yield partial;
    }
  }

  async removePartial(name: PartialName): Promise<boolean> {
    if (this.#openWriters.has(name)) return false;
    // Blocks a new writer while the file is being deleted, since its file would be deleted as well.
    this.#openWriters.add(name);
    const path = this.#partialPath(name);
    try {
      await removeFile(path);
      await new ExtentJournal(path).remove();
      return true;
    } catch (cause) {
      throw storageFault(`remove ${path}`, cause);
    } finally {
      this.#openWriters.delete(name);
    }
  }

  async quarantine(digest: Digest): Promise<boolean> {
    const path = this.#blobPath(digest);
    const folder = join(this.#directory, "quarantine");
    return this.#detach(digest, `quarantine ${path}`, async () => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await rename(path, join(folder, `${Date.now()}-${digest.replace(":", "-")}`));
      for (const name of (await fileNames(folder)).toSorted().slice(0, -MAX_QUARANTINED)) {
        await rm(join(folder, name), { recursive: true, force: true });
      }
    });
  }

  /**
   * Removes a blob's file from its path. Concurrent calls that open or store the blob wait for it, so
   * that neither meets a file that is about to be removed.
   */
  async #detach(digest: Digest, action: string, detach: () => Promise<void>): Promise<boolean> {
    await this.#removing.get(digest);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#removing.set(digest, promise);
    this.#removals += 1;
    this.#sizes.delete(digest);
    try {
      await detach();
      return true;
    } catch (cause) {
      if (systemCode(cause) !== "ENOENT") throw storageFault(action, cause);
      // Somebody removed it, and perhaps others.
      this.#sizes.clear();
      return false;
    } finally {
      this.#removing.delete(digest);
      resolve();
    }
  }

  async #publish(digest: Digest, from: string, size: number): Promise<StoredBlob> {
    const path = this.#blobPath(digest);
    try {
      const folder = dirname(path);
      if (!this.#durableFolders.has(folder)) await mkdir(folder, { recursive: true, mode: 0o700 });
      await this.#removing.get(digest);
      // A blob that cannot be read at the moment is downloaded again.
      const wasStored = await stat(path).then(
        () => true,
        (cause: unknown) => systemCode(cause) !== "ENOENT",
      );
      await renameOver(from, path).catch(async (cause: unknown) => {
        const code = systemCode(cause);
        if (code === "ENOENT") {
          // Somebody removed the folder since, or eviction that needed inodes.
          await this.foldersVanished();
          await mkdir(folder, { recursive: true, mode: 0o700 });
        } else if (code === "EISDIR") {
          // A foreign folder of that name must not prevent the blob from being stored for ever.
          await this.quarantine(digest);
        } else throw cause;
        await renameOver(from, path);
      });
      await this.#makeDurable(folder).catch(async (cause: unknown) => {
        // Its owner takes it for not stored, and nobody would count it. If it cannot be removed, it is stored.
        if (wasStored || (await this.remove(digest).catch(() => false))) throw cause;
      });
    } catch (cause) {
      throw storageFault(`store ${path}`, cause);
    }
    this.#sizes.set(digest, size);
    return { digest, size, bytes: Bun.file(path) };
  }

  /**
   * Syncs what was renamed into a folder, and the parent folders too: a file is only as durable as the
   * entries of the folders above it.
   */
  async #makeDurable(folder: string): Promise<void> {
    const unsynced = [folder];
    // Not only where it was just created: a killed process may have created it without syncing.
    for (const entry of [folder, dirname(folder)]) {
      if (!this.#durableFolders.has(entry)) unsynced.push(dirname(entry));
    }
    await Promise.all(unsynced.map((one) => this.#syncs.folder(one)));
    this.#durableFolders.add(folder).add(dirname(folder));
  }

  async #readStored(digest: Digest, first: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const path = this.#blobPath(digest);
    try {
      const bytes = await Bun.file(path).slice(first, end).bytes();
      if (bytes.byteLength === end - first) return bytes;
      throw new Error(`the file ends at byte ${first + bytes.byteLength}`);
    } catch (cause) {
      throw storageFault(`read ${path}`, cause);
    }
  }

  #partialPath(name: PartialName): string {
    return join(this.#directory, "fills", name);
  }

  #blobPath(digest: Digest): string {
    return join(this.#directory, blobFile(digest));
  }
}
