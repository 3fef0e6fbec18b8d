import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { mkdir, open, readdir, rename, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LRUCache } from "lru-cache";
import type { Digest } from "../oci/digest.ts";
import { digestAlgorithm, digestHex, parseDigest } from "../oci/digest.ts";
import type { BlobEntry, BlobStore, Draft, StoredBlob } from "./blobs.ts";
import type { DraftHome } from "./disk-draft.ts";
import { DiskDraft } from "./disk-draft.ts";
import { storageFault, systemCode } from "./storage-fault.ts";

/** Sizes that are known without asking the disk: about 5 MB of memory when full. */
const KNOWN_SIZES = 16_384;

/**
 * Opens the blobs of a directory, which has to exist: `blobs/<algorithm>/<first two digits>/<digits>`
 * is complete content, `fills/<algorithm>-<digits>` is content on its way in.
 *
 * @throws Fault of kind `storage`
 */
export async function openDiskBlobs(directory: string): Promise<BlobStore> {
  for (const folder of ["blobs", "fills"]) {
    const path = join(directory, folder);
    try {
      await mkdir(path, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw storageFault(`create ${path}`, cause);
    }
  }
  return new DiskBlobs(directory);
}

class DiskBlobs implements BlobStore {
  readonly #directory: string;
  readonly #sizes = new LRUCache<Digest, number>({ max: KNOWN_SIZES });
  readonly #drafts = new Set<Digest>();
  /** Folders whose entry in their parent is known to be durable. */
  readonly #durableFolders = new Set<string>();
  readonly #home: DraftHome = {
    publish: (digest, path, size) => this.#publish(digest, path, size),
    readStored: (digest, first, end) => this.#readStored(digest, first, end),
    ended: (digest) => this.#drafts.delete(digest),
  };
  #removals = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open(digest: Digest): Promise<StoredBlob | undefined> {
    const path = this.#blobPath(digest);
    let size = this.#sizes.get(digest);
    if (size === undefined) {
      const removals = this.#removals;
      size = await fileSize(path);
      if (size === undefined) return undefined;
      // A removal that overtook the question would otherwise be undone by its answer.
      if (removals === this.#removals) this.#sizes.set(digest, size);
    }
    return { digest, size, bytes: Bun.file(path) };
  }

  async draft(digest: Digest): Promise<Draft> {
    if (this.#drafts.has(digest)) throw new Error(`${digest} already has a draft`);
    this.#drafts.add(digest);
    const path = join(this.#directory, "fills", `${digestAlgorithm(digest)}-${digestHex(digest)}`);
    let file: FileHandle | undefined;
    try {
      file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
      return await DiskDraft.begin(digest, path, file, this.#home);
    } catch (cause) {
      this.#drafts.delete(digest);
      await file?.close();
      throw storageFault(`write ${path}`, cause);
    }
  }

  async remove(digest: Digest): Promise<boolean> {
    const path = this.#blobPath(digest);
    try {
      await unlink(path);
      return true;
    } catch (cause) {
      if (systemCode(cause) === "ENOENT") return false;
      throw storageFault(`remove ${path}`, cause);
    } finally {
      this.#removals += 1;
      this.#sizes.delete(digest);
    }
  }

  async *entries(): AsyncGenerator<BlobEntry> {
    for (const algorithm of ["sha256", "sha512"] as const) {
      const top = join(this.#directory, "blobs", algorithm);
      for (const folder of await names(top)) {
        for (const name of await names(join(top, folder))) {
          const digest = parseDigest(`${algorithm}:${name}`);
          const path = join(top, folder, name);
          // Whatever else somebody has put there is not ours to speak of.
          if (!digest || path !== this.#blobPath(digest)) continue;
          const facts = await stat(path).catch(() => undefined);
          if (facts?.isFile()) yield { digest, size: facts.size, storedAt: facts.mtimeMs };
        }
      }
    }
  }

  async #publish(digest: Digest, from: string, size: number): Promise<StoredBlob> {
    const path = this.#blobPath(digest);
    try {
      const folder = dirname(path);
      await this.#makeFolder(folder);
      await rename(from, path);
      await syncFolder(folder);
    } catch (cause) {
      throw storageFault(`store ${path}`, cause);
    }
    this.#sizes.set(digest, size);
    return { digest, size, bytes: Bun.file(path) };
  }

  /** A file is only as durable as the entries of the folders above it. */
  async #makeFolder(folder: string): Promise<void> {
    if (this.#durableFolders.has(folder)) return;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Not only where it was just made: a process that was killed may have left it unsynced.
    await syncFolder(dirname(folder));
    await syncFolder(dirname(dirname(folder)));
    this.#durableFolders.add(folder);
  }

  async #readStored(digest: Digest, first: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const path = this.#blobPath(digest);
    try {
      const bytes = await Bun.file(path).slice(first, end).bytes();
      if (bytes.byteLength === end - first) return bytes;
      throw new Error(`it ends at ${first + bytes.byteLength}`);
    } catch (cause) {
      throw storageFault(`read ${path}`, cause);
    }
  }

  #blobPath(digest: Digest): string {
    const hex = digestHex(digest);
    return join(this.#directory, "blobs", digestAlgorithm(digest), hex.slice(0, 2), hex);
  }
}

async function fileSize(path: string): Promise<number | undefined> {
  try {
    const facts = await stat(path);
    if (facts.isFile()) return facts.size;
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return undefined;
    throw storageFault(`read ${path}`, cause);
  }
  throw storageFault(`read ${path}`, new Error("it is no file"));
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    const code = systemCode(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw storageFault(`list ${folder}`, cause);
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
