import { existsSync } from "node:fs";
import { copyFile, link, mkdir, open, realpath, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  type Digest,
  digestAlgorithm,
  digestHex,
  newHasher,
  parseDigest,
} from "../../oci/digest.ts";
import { MAX_MANIFEST_BYTES } from "../../oci/manifest.ts";
import { parseTag, type RepositoryName, type UpstreamName } from "../../oci/names.ts";
import { ADOPTING_FOLDER } from "../../store/disk/disk-blob-store.ts";
import type { Link, RepositoryRef } from "../../store/metadata-store.ts";
import { diskUsage } from "../../store/disk/disk-usage.ts";
import { describeSystemError, systemCode } from "../../store/storage-fault.ts";
import type { Storage } from "./storage.ts";
import {
  AdoptionError,
  blobsOf,
  type FoundBlob,
  linkedDigest,
  mustBeConfigured,
  names,
  readManifest,
  registryRoot,
  repositories,
} from "./registry-v2-layout.ts";

export interface Adopted {
  /** Blobs that were added to the store, and their bytes. */
  readonly blobs: number;
  readonly bytes: number;
  /** How many of them are hard links, and so share their disk space with the folder. */
  readonly linked: number;
  /** Blobs that were stored already. */
  readonly known: number;
  /** Blobs that were skipped because they do not match their digest or cannot be read. */
  readonly corrupt: number;
  readonly repositories: number;
  readonly tags: number;
  readonly manifests: number;
  /** Blobs that were skipped because they do not fit within the limits of the store. */
  readonly omitted: number;
}

export interface AdoptOptions {
  readonly folder: string;
  readonly upstream: UpstreamName;
  readonly onProgress?: (done: {
    readonly files: number;
    readonly bytes: number;
    readonly of: { readonly files: number; readonly bytes: number };
  }) => void;
  readonly signal?: AbortSignal;
}

/** Bytes per read. */
const BUFFER_BYTES = 1024 * 1024;

/**
 * Adopts what a registry:2 has stored below `docker/registry/v2`: its blobs, and the repositories and
 * tags in which they are visible. The folder is not changed. The cache may serve requests meanwhile.
 *
 * @throws AdoptionError
 */
export async function adopt(
  storage: Storage,
  configured: ReadonlyMap<UpstreamName, unknown>,
  options: AdoptOptions,
): Promise<Adopted> {
  const { folder } = options;
  mustBeConfigured(options.upstream, configured);
  try {
    return await new Adoption(storage, options, await registryRoot(folder)).run();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    const message = error instanceof Error ? error.message : "";
    throw new AdoptionError(
      `adopting ${folder} failed: ${describeSystemError(error)}: ${message}`,
      {
        cause: error,
      },
    );
  }
}

class Adoption {
  readonly #storage: Storage;
  readonly #options: AdoptOptions;
  readonly #root: string;
  readonly #result = {
    blobs: 0,
    bytes: 0,
    linked: 0,
    known: 0,
    corrupt: 0,
    repositories: 0,
    tags: 0,
    manifests: 0,
    omitted: 0,
  };
  /** What there is to read. */
  readonly #total = { files: 0, bytes: 0 };
  #filesDone = 0;
  #bytesDone = 0;

  constructor(storage: Storage, options: AdoptOptions, root: string) {
    this.#storage = storage;
    this.#options = options;
    this.#root = root;
  }

  async run(): Promise<Adopted> {
    for await (const { size } of blobsOf(this.#root)) {
      this.#total.files += 1;
      this.#total.bytes += size;
      this.#options.signal?.throwIfAborted();
    }
    for await (const found of blobsOf(this.#root)) {
      await this.#skipUnreadable(found, () => this.#adoptBlob(found));
      this.#filesDone += 1;
      this.#reportProgress(0);
    }
    for await (const repository of repositories(join(this.#root, "repositories"))) {
      this.#result.repositories += 1;
      await this.#adoptRepository(repository);
    }
    await this.#storage.admin.recount();
    return this.#result;
  }

  /** Skips a file that the disk cannot read, or that the registry has deleted meanwhile. */
  async #skipUnreadable({ path }: FoundBlob, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const code = systemCode(error);
      if (code === "EIO") this.#result.corrupt += 1;
      else if (code !== "ENOENT" || existsSync(path)) throw error;
    }
  }

  /** Verifies a blob, and adds it as a hard link if both folders are on one file system, else as a copy. */
  async #adoptBlob({ digest, path: from, size }: FoundBlob): Promise<void> {
    const { budget, metadata, blobs } = this.#storage;
    if (await blobs.open(digest)) {
      this.#result.known += 1;
      this.#reportProgress(size);
      return;
    }
    if (budget.used + size > budget.limits.maxSize) {
      this.#result.omitted += 1;
      this.#reportProgress(size);
      return;
    }
    if (!(await this.#matchesDigest(digest, from))) {
      this.#result.corrupt += 1;
      return;
    }
    const hex = digestHex(digest);
    const folder = join(this.#storage.path, "blobs", digestAlgorithm(digest), hex.slice(0, 2));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const to = join(folder, hex);
    // Link the file itself: a hard link to a symbolic link would store the symbolic link.
    if (await hardLink(await realpath(from), to)) this.#result.linked += 1;
    else if (await this.#hasSpaceFor(size)) await this.#copy(digest, from, to);
    else {
      this.#result.omitted += 1;
      return;
    }
    await metadata.blobs.put({ digest, size }, Date.now());
    budget.changeBlobBytes(size);
    this.#result.blobs += 1;
    this.#result.bytes += size;
  }

  /** Whether the disk has space for a copy. A hard link takes none. */
  async #hasSpaceFor(size: number): Promise<boolean> {
    const { free } = await diskUsage(this.#storage.path);
    return free - size >= this.#storage.budget.limits.minFree;
  }

  #reportProgress(bytes: number): void {
    this.#options.signal?.throwIfAborted();
    this.#bytesDone += bytes;
    this.#options.onProgress?.({ files: this.#filesDone, bytes: this.#bytesDone, of: this.#total });
  }

  /** Copies under a temporary name, and verifies the copy before it is renamed. */
  async #copy(digest: Digest, from: string, to: string): Promise<void> {
    const folder = join(this.#storage.path, ADOPTING_FOLDER);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // The name is unique, since two adoptions of the same folder may run at once.
    const temporary = join(folder, `${crypto.randomUUID()}-${digestHex(digest)}`);
    try {
      await copyFile(from, temporary);
      const file = await open(temporary, "r+");
      try {
        await file.datasync();
      } finally {
        await file.close();
      }
      // Not counted as progress: the bytes of the original were.
      if (!(await this.#matchesDigest(digest, temporary, false))) {
        throw new AdoptionError(
          `${from} changed while it was copied: stop the registry that writes to it`,
        );
      }
      await rename(temporary, to);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  async #matchesDigest(digest: Digest, path: string, isCounted = true): Promise<boolean> {
    const hasher = newHasher(digest);
    const file = await open(path, "r");
    const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
    try {
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, BUFFER_BYTES, null);
        if (bytesRead === 0) return hasher.digest("hex") === digestHex(digest);
        hasher.update(buffer.subarray(0, bytesRead));
        this.#reportProgress(isCounted ? bytesRead : 0);
      }
    } finally {
      await file.close();
    }
  }

  /** Records the links, manifests and tags of a repository. */
  async #adoptRepository(repository: RepositoryName): Promise<void> {
    const folder = join(this.#root, "repositories", repository);
    const repo = { upstream: this.#options.upstream, repository };
    for (const kind of ["_layers", "_manifests/revisions"]) {
      for (const algorithm of ["sha256", "sha512"]) {
        for (const hex of await names(join(folder, kind, algorithm))) {
          const digest = parseDigest(`${algorithm}:${hex}`);
          const size = digest && (await this.#storage.blobs.open(digest))?.size;
          if (!digest || size === undefined) continue;
          if (kind === "_layers") await this.#link(repo, [{ digest, size }]);
          else await this.#adoptManifest(repo, digest);
        }
      }
    }
    for (const name of await names(join(folder, "_manifests/tags"))) {
      const tag = parseTag(name);
      const digest = await linkedDigest(join(folder, "_manifests/tags", name, "current/link"));
      if (!tag || !digest) continue;
      const mediaType = (await this.#storage.metadata.blobs.get(digest))?.mediaType;
      if (mediaType === undefined) continue;
      // Recorded as stale, so that the upstream is asked before the tag is served, if it answers.
      const checkedAt = 0;
      if (await this.#storage.metadata.tags.get(repo, tag)) continue;
      await this.#storage.metadata.tags.put(repo, tag, { digest, checkedAt });
      await this.#storage.sidecars.record(digest, { mediaType, repo, tag, at: checkedAt });
      this.#result.tags += 1;
    }
  }

  async #link(repo: RepositoryRef, links: readonly Link[]): Promise<void> {
    await this.#storage.metadata.links.add(repo, links);
    this.#storage.quotas.linked(
      repo.upstream,
      links.map(({ digest }) => digest),
    );
  }

  async #adoptManifest(repo: RepositoryRef, digest: Digest): Promise<void> {
    const { metadata, sidecars } = this.#storage;
    const stored = await this.#storage.blobs.open(digest);
    if (!stored || stored.size > MAX_MANIFEST_BYTES) return;
    const manifest = readManifest(await stored.bytes.bytes());
    if (!manifest) return;
    const { mediaType, manifests, blobs } = manifest;
    await metadata.blobs.put({ digest, size: stored.size, mediaType }, Date.now());
    await this.#link(repo, [{ digest, size: stored.size }, ...manifests, ...blobs]);
    await sidecars.record(digest, { mediaType, repo, at: 0 });
    this.#result.manifests += 1;
  }
}

/** Returns false if the file system does not allow a hard link here. */
async function hardLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === "EEXIST") return true;
    if (["EXDEV", "EPERM", "EMLINK", "EOPNOTSUPP", "ENOSYS"].includes(code ?? "")) return false;
    throw error;
  }
}
