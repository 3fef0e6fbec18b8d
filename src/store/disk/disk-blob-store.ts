import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { mkdir, open, readdir, rename, rm, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import { digestAlgorithm, digestHex, parseDigest } from "../../oci/digest.ts";
import type { BlobEntry, BlobStore, BlobWriter, StoredBlob } from "../blob-store.ts";
import type { WriterHost } from "./disk-blob-writer.ts";
import { DiskBlobWriter } from "./disk-blob-writer.ts";
import { storageFault, systemCode } from "../storage-fault.ts";

/** Contents that were set aside and are kept for a person to look at. */
const MAX_QUARANTINED = 16;

/** Where copies are made before they are content. What a process that was killed left there goes. */
export const ADOPTING_FOLDER = "adopting";

/** Sizes that are known without asking the disk: about 5 MB of memory when full. */
const MAX_CACHED_SIZES = 16_384;

/**
 * Opens the blobs of a directory, which has to exist: `blobs/<algorithm>/<first two digits>/<digits>`
 * is complete content, `fills/<algorithm>-<digits>` is content on its way in, `quarantine/` what was
 * found to be something else than its name says.
 *
 * @throws Fault of kind `storage`
 */
export async function openDiskBlobStore(directory: string): Promise<BlobStore> {
  for (const folder of ["blobs", "fills"]) {
    const path = join(directory, folder);
    try {
      await mkdir(path, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw storageFault(`create ${path}`, cause);
    }
  }
  await rm(join(directory, ADOPTING_FOLDER), { recursive: true, force: true }).catch(() => {});
  return new DiskBlobStore(directory);
}

class DiskBlobStore implements BlobStore {
  readonly #directory: string;
  readonly #sizes = new LRUCache<Digest, number>({ max: MAX_CACHED_SIZES });
  readonly #openWriters = new Set<Digest>();
  /** Contents that are just being removed. */
  readonly #removing = new Map<Digest, Promise<void>>();
  /** Folders whose entry in their parent is known to be durable. */
  readonly #durableFolders = new Set<string>();
  readonly #writerHost: WriterHost = {
    publish: (digest, path, size) => this.#publish(digest, path, size),
    readStored: (digest, first, end) => this.#readStored(digest, first, end),
    closed: (digest) => this.#openWriters.delete(digest),
  };
  #removals = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async open(digest: Digest, isAnew = false): Promise<StoredBlob | undefined> {
    const path = this.#blobPath(digest);
    // A name that is just going away must not be handed out.
    await this.#removing.get(digest);
    if (isAnew) this.#sizes.delete(digest);
    let size = this.#sizes.get(digest);
    if (size === undefined) {
      const removals = this.#removals;
      size = await fileSize(path);
      if (size === undefined) return undefined;
      // A removal that overtook the question would otherwise be undone by its answer.
      if (removals !== this.#removals && this.#removing.has(digest)) return this.open(digest);
      if (removals === this.#removals) this.#sizes.set(digest, size);
    }
    return { digest, size, bytes: Bun.file(path) };
  }

  async writer(digest: Digest): Promise<BlobWriter> {
    if (this.#openWriters.has(digest)) throw new Error(`${digest} already has a draft`);
    this.#openWriters.add(digest);
    const path = this.#partialPath(digest);
    let file: FileHandle | undefined;
    try {
      file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
      return await DiskBlobWriter.open(digest, path, file, this.#writerHost);
    } catch (cause) {
      this.#openWriters.delete(digest);
      await file?.close();
      throw storageFault(`write ${path}`, cause);
    }
  }

  async remove(digest: Digest): Promise<boolean> {
    const path = this.#blobPath(digest);
    return this.#detach(digest, `remove ${path}`, () => unlink(path));
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

  async *partials(): AsyncGenerator<BlobEntry> {
    for (const name of await names(join(this.#directory, "fills"))) {
      const digest = parseDigest(name.replace("-", ":"));
      if (!digest || this.#openWriters.has(digest)) continue;
      const facts = await stat(this.#partialPath(digest)).catch(() => undefined);
      if (facts?.isFile()) yield { digest, size: facts.size, storedAt: facts.mtimeMs };
    }
  }

  async removePartial(digest: Digest): Promise<boolean> {
    if (this.#openWriters.has(digest)) return false;
    // It has no draft while its file goes: a new one would be taken away with it.
    this.#openWriters.add(digest);
    const path = this.#partialPath(digest);
    try {
      await rm(path, { force: true });
      return true;
    } catch (cause) {
      throw storageFault(`remove ${path}`, cause);
    } finally {
      this.#openWriters.delete(digest);
    }
  }

  async quarantine(digest: Digest): Promise<boolean> {
    const path = this.#blobPath(digest);
    const folder = join(this.#directory, "quarantine");
    return this.#detach(digest, `set ${path} aside`, async () => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await rename(path, join(folder, `${Date.now()}-${digest.replace(":", "-")}`));
      for (const name of (await names(folder)).toSorted().slice(0, -MAX_QUARANTINED)) {
        await rm(join(folder, name), { recursive: true, force: true });
      }
    });
  }

  /** Who opens or stores the content meanwhile waits: neither must meet a file that is going away. */
  async #detach(digest: Digest, doing: string, away: () => Promise<void>): Promise<boolean> {
    await this.#removing.get(digest);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#removing.set(digest, promise);
    this.#removals += 1;
    this.#sizes.delete(digest);
    try {
      await away();
      return true;
    } catch (cause) {
      if (systemCode(cause) === "ENOENT") return false;
      throw storageFault(doing, cause);
    } finally {
      this.#removing.delete(digest);
      resolve();
    }
  }

  async #publish(digest: Digest, from: string, size: number): Promise<StoredBlob> {
    const path = this.#blobPath(digest);
    try {
      const folder = dirname(path);
      await this.#createFolder(folder);
      await this.#removing.get(digest);
      await rename(from, path).catch(async (cause: unknown) => {
        // Whatever has made a folder of that name, the content is not kept out by it for ever.
        if (systemCode(cause) !== "EISDIR") throw cause;
        await this.quarantine(digest);
        await rename(from, path);
      });
      await syncFolder(folder);
    } catch (cause) {
      throw storageFault(`store ${path}`, cause);
    }
    this.#sizes.set(digest, size);
    return { digest, size, bytes: Bun.file(path) };
  }

  /** A file is only as durable as the entries of the folders above it. */
  async #createFolder(folder: string): Promise<void> {
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

  #partialPath(digest: Digest): string {
    return join(this.#directory, "fills", `${digestAlgorithm(digest)}-${digestHex(digest)}`);
  }

  #blobPath(digest: Digest): string {
    const hex = digestHex(digest);
    return join(this.#directory, "blobs", digestAlgorithm(digest), hex.slice(0, 2), hex);
  }
}

/**
 * The content whose file was to be opened and is not there, of the error that this ended with: an
 * answer's file is opened when it is sent, and who takes it away besides us tells nobody.
 */
export async function missingBlob(error: unknown): Promise<Digest | undefined> {
  const isMissing = error instanceof Error && systemCode(error) === "ENOENT" && "path" in error;
  if (!isMissing || typeof error.path !== "string") return undefined;
  const [algorithm, , hex] = error.path.split("/").slice(-3);
  const digest = parseDigest(`${algorithm}:${hex}`);
  // It may have gone to make room, and be stored again by now.
  return digest && !(await Bun.file(error.path).exists()) ? digest : undefined;
}

/** `undefined` where there is no file, or something else. */
async function fileSize(path: string): Promise<number | undefined> {
  try {
    const facts = await stat(path);
    return facts.isFile() ? facts.size : undefined;
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return undefined;
    throw storageFault(`read ${path}`, cause);
  }
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
