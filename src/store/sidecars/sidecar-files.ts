import { mkdir, readdir, rm, rmdir, stat, unlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LRUCache } from "lru-cache";
import { type Digest, digestAlgorithm, digestHex, parseDigest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Tag } from "../../oci/names.ts";
import type { Pin, RepositoryRef } from "../metadata-store.ts";
import type { Override } from "../override-store.ts";
import type { TagStay } from "../tag-history.ts";
import { readJson } from "./json-file.ts";
import { parseOverrides, parsePins } from "./operators-lists.ts";
import {
  isSameRepository,
  parseSidecar,
  serializeSidecar,
  type Sidecar,
  sidecarBytes,
  type SidecarEntry,
  withEntry,
  withoutRepository,
  withoutTag,
} from "./sidecar.ts";
import { removeFile } from "../remove-file.ts";
import { renameOver } from "../replace-file.ts";
import { storageFault, systemCode } from "../storage-fault.ts";

/** Returns the new sidecar, the given one if nothing changes, or `undefined` to delete it. */
type Change = (sidecar: Sidecar | undefined) => Sidecar | undefined | Promise<Sidecar | undefined>;

/** How often a write is tried again whose folder was removed meanwhile. */
const RETRIES = 10;
/** The size of the LRU cache of sidecars, in bytes of memory. */
const CACHE_BYTES = 4 * 1024 * 1024;

/**
 * Small files below `sidecars/`: one per blob, one for all pins, and one for all overrides. They repeat the metadata that
 * cannot be recovered from the blobs, and are read only to rebuild or repair the metadata database.
 * They are written when something new is recorded, not with each pull.
 *
 * Changes of one sidecar are serialized; different ones are changed concurrently. A file that cannot be
 * read is not changed: what it says would be lost. A method that reads or writes a file rejects with a
 * `Fault` of kind `no-space` or `storage`.
 */
export class SidecarFiles {
  readonly #directory: string;
  readonly #blockSize: number;
  readonly #cache = new LRUCache<Digest, Sidecar>({
    maxSize: CACHE_BYTES,
    sizeCalculation: sidecarBytes,
  });
  /** The last pending write of each digest. As many entries as there are concurrent writes. */
  readonly #pendingWrites = new Map<Digest, Promise<void>>();
  #lastFileNumber = 0;
  #fileCount = 0;
  readonly #creating = new Set<Digest>();
  /** While the files are counted: those that were created meanwhile. */
  #skipped: Set<Digest> | undefined;

  /** @param blockSize what a file takes on the disk at least, in bytes */
  constructor(directory: string, blockSize = 4096) {
    this.#directory = join(directory, "sidecars");
    this.#blockSize = blockSize;
  }

  /** Deletes the incomplete files that a killed process left. */
  async open(): Promise<void> {
    await rm(join(this.#directory, "writing"), { recursive: true, force: true }).catch(() => {});
  }

  /** Somebody removed files while the cache runs: they are written again when something is recorded. */
  forget(): void {
    this.#cache.clear();
  }

  /** What all files take on the disk, in bytes: those that were counted, and those written since. */
  get bytes(): number {
    return this.#fileCount * this.#blockSize;
  }

  /** Counts the files of earlier processes. It takes 0.2 s for 100,000, so nothing need wait for it. */
  async count(signal?: AbortSignal): Promise<void> {
    let count = 0;
    for await (const _ of this.digests()) {
      if (signal?.aborted) return;
      count += 1;
    }
    this.#fileCount = Math.max(count, this.#fileCount);
  }

  /** Whether a manifest's sidecar is known to have a tag. Reads the cache only: `false` may be wrong. */
  has(digest: Digest, repo: RepositoryRef, tag: Tag): boolean {
    const sidecar = this.#cache.get(digest);
    return (
      sidecar?.repositories.find((one) => isSameRepository(one.repo, repo))?.tags.has(tag) ?? false
    );
  }

  /** Records that a manifest is visible in a repository, and under a tag of it if one is given. */
  record(digest: Digest, entry: SidecarEntry): Promise<void> {
    return this.#change(digest, (sidecar) => withEntry(sidecar, entry));
  }

  /**
   * Records that the upstream of a repository gave a blob, or answered for it. One repository stands for
   * all of its upstream.
   */
  confirm(digest: Digest, repo: RepositoryRef): Promise<void> {
    return this.#change(digest, (sidecar) =>
      sidecar?.repositories.some((one) => one.repo.upstream === repo.upstream)
        ? sidecar
        : { repositories: [...(sidecar?.repositories ?? []), { repo, tags: new Map() }] },
    );
  }

  /** Removes a tag that no longer points to the manifest, or is purged. `stays` stay: what it was until then. */
  removeTag(
    digest: Digest,
    repo: RepositoryRef,
    tag: Tag,
    stays: readonly TagStay[] = [],
  ): Promise<void> {
    return this.#change(digest, (sidecar) => withoutTag(sidecar, repo, { tag, stays }));
  }

  /** Removes a repository in which the manifest is no longer visible, and the sidecar with the last one. */
  removeRepository(digest: Digest, repo: RepositoryRef): Promise<void> {
    return this.#change(digest, (sidecar) => withoutRepository(sidecar, repo));
  }

  /** Deletes a blob's sidecar, whether it can be read or not; does nothing if there is none. */
  remove(digest: Digest): Promise<void> {
    return this.#inTurn(digest, () => this.#delete(digest));
  }

  /** Deletes the sidecar of an evicted blob, and its folder if that is empty then, to free inodes. */
  async removeUnless(
    isWanted: (digest: Digest) => Promise<boolean>,
    digest: Digest,
  ): Promise<void> {
    await this.#inTurn(digest, async () => {
      if (!(await isWanted(digest))) await this.#delete(digest);
    });
    await rmdir(dirname(this.#path(digest))).catch(() => {});
  }

  /**
   * Counts the files, and deletes those that are no longer useful: the blob is neither stored nor being
   * downloaded, and either no tag points to it or the file was not written since `before`, in
   * milliseconds of the epoch. When such a blob is pulled again, its sidecar is written again. Returns
   * how many files were deleted.
   */
  async prune(
    isWanted: (digest: Digest) => Promise<boolean>,
    { before, signal }: { readonly before: number; readonly signal?: AbortSignal },
  ): Promise<number> {
    let deleted = 0;
    for await (const digest of this.digests()) {
      if (signal?.aborted) return deleted;
      if (await isWanted(digest)) continue;
      const stats = await stat(this.#path(digest)).catch(() => undefined);
      const pruning = this.#change(digest, async (sidecar) => {
        const isTagged = sidecar?.repositories.some(({ tags }) => tags.size > 0) ?? false;
        if (!sidecar || (isTagged && (stats?.mtimeMs ?? 0) >= before)) return sidecar;
        // Checked again while no other change can run: the blob may just have been stored again.
        if (await isWanted(digest)) return sidecar;
        deleted += 1;
        return undefined;
      });
      await pruning.catch((error: unknown) => {
        // One that cannot be read may be worth keeping.
        if (!(error instanceof Fault)) throw error;
      });
    }
    await this.#count();
    return deleted;
  }

  /** Counts the files while others are created: each of these counts once, as it is complete. */
  async #count(): Promise<void> {
    const skipped = new Set(this.#creating);
    this.#skipped = skipped;
    const before = this.#fileCount;
    let files = 0;
    for await (const digest of this.digests()) if (!skipped.has(digest)) files += 1;
    this.#skipped = undefined;
    this.#fileCount = files + (this.#fileCount - before);
  }

  /** Reads a blob's sidecar from its file; `undefined` if there is none, or it is not valid. */
  async read(digest: Digest): Promise<Sidecar | undefined> {
    return parseSidecar(await readJson(this.#path(digest)));
  }

  /** The digests of all blobs that have a sidecar, in no particular order. */
  async *digests(): AsyncGenerator<Digest> {
    for (const algorithm of ["sha256", "sha512"] as const) {
      const top = join(this.#directory, algorithm);
      for (const folder of await readdir(top).catch(() => [])) {
        for (const name of await readdir(join(top, folder)).catch(() => [])) {
          const digest = parseDigest(`${algorithm}:${name.replace(/\.json$/, "")}`);
          if (digest) yield digest;
        }
      }
    }
  }

  /** Replaces the pins in their file. */
  savePins(pins: readonly Pin[]): Promise<void> {
    return this.#replace(join(this.#directory, "pins.json"), pins);
  }

  /** The pins in their file; none if there is no file, or it is not valid. */
  async pins(): Promise<Pin[]> {
    return parsePins(await readJson(join(this.#directory, "pins.json")));
  }

  /** Replaces what operators decided of tags, in its file. */
  saveOverrides(overrides: readonly Override[]): Promise<void> {
    return this.#replace(join(this.#directory, "overrides.json"), overrides);
  }

  /** What operators decided of tags, by its file. */
  async overrides(): Promise<Override[]> {
    return parseOverrides(await readJson(join(this.#directory, "overrides.json")));
  }

  #change(digest: Digest, change: Change): Promise<void> {
    return this.#inTurn(digest, () => this.#apply(digest, change));
  }

  async #inTurn(digest: Digest, work: () => Promise<void>): Promise<void> {
    const before = this.#pendingWrites.get(digest) ?? Promise.resolve();
    const writing = before.catch(() => {}).then(work);
    this.#pendingWrites.set(digest, writing);
    try {
      await writing;
    } finally {
      if (this.#pendingWrites.get(digest) === writing) this.#pendingWrites.delete(digest);
    }
  }

  async #apply(digest: Digest, change: Change): Promise<void> {
    const current = this.#cache.get(digest) ?? (await this.read(digest));
    const sidecar = await change(current);
    if (sidecar !== current) await this.#write(digest, sidecar, current === undefined);
    if (sidecar) this.#cache.set(digest, sidecar);
    else this.#cache.delete(digest);
  }

  async #write(digest: Digest, sidecar: Sidecar | undefined, isNew: boolean): Promise<void> {
    if (!sidecar) return this.#delete(digest);
    if (isNew) {
      this.#creating.add(digest);
      this.#skipped?.add(digest);
    }
    try {
      await this.#replace(this.#path(digest), serializeSidecar(sidecar));
      if (isNew) this.#fileCount += 1;
    } finally {
      this.#creating.delete(digest);
    }
  }

  async #delete(digest: Digest): Promise<void> {
    const path = this.#path(digest);
    this.#cache.delete(digest);
    try {
      await unlink(path);
      this.#fileCount = Math.max(0, this.#fileCount - 1);
    } catch (cause) {
      if (systemCode(cause) !== "ENOENT") throw storageFault(`remove ${path}`, cause);
    }
  }

  /** Writes atomically, but without a sync: what a power cut loses is recorded again later. */
  async #replace(path: string, value: unknown, retries = RETRIES): Promise<void> {
    const temporary = join(this.#directory, "writing", String((this.#lastFileNumber += 1)));
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await mkdir(dirname(temporary), { recursive: true, mode: 0o700 });
      // Exclusive: it never writes through a link that somebody put there.
      await writeFile(temporary, `${JSON.stringify(value)}\n`, { mode: 0o600, flag: "wx" });
      await renameOver(temporary, path);
    } catch (cause) {
      await removeFile(temporary).catch(() => {});
      // Eviction may have removed the folder, which was empty, since it was made.
      if (systemCode(cause) === "ENOENT" && retries > 0)
        return this.#replace(path, value, retries - 1);
      throw storageFault(`write ${path}`, cause);
    }
  }

  #path(digest: Digest): string {
    const hex = digestHex(digest);
    return join(this.#directory, digestAlgorithm(digest), hex.slice(0, 2), `${hex}.json`);
  }
}
