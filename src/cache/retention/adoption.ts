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
  /** Contents that are here now and were not before, and their bytes. */
  readonly blobs: number;
  readonly bytes: number;
  /** How many of them share their disk space with the folder. */
  readonly linked: number;
  /** Contents that were here already. */
  readonly known: number;
  /** Contents that are not what their names say: they were left out. */
  readonly corrupt: number;
  readonly repositories: number;
  readonly tags: number;
  readonly manifests: number;
  /** Contents that do not fit below the bound any more. */
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

const PIECE = 1024 * 1024;

/**
 * Takes over what a registry:2 has stored below `docker/registry/v2`: bytes, and which of its
 * repositories and tags show them. Nothing of the folder is changed. It may run beside traffic.
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
    const said = error instanceof Error ? error.message : "";
    throw new AdoptionError(
      `adopting ${folder} broke off: ${describeSystemError(error)}: ${said}`,
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
  readonly #done = {
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
  readonly #of = { files: 0, bytes: 0 };
  #files = 0;
  #read = 0;

  constructor(storage: Storage, options: AdoptOptions, root: string) {
    this.#storage = storage;
    this.#options = options;
    this.#root = root;
  }

  async run(): Promise<Adopted> {
    for await (const { size } of blobsOf(this.#root)) {
      this.#of.files += 1;
      this.#of.bytes += size;
      this.#options.signal?.throwIfAborted();
    }
    for await (const found of blobsOf(this.#root)) {
      await this.#readable(found, () => this.#blob(found));
      this.#files += 1;
      this.#tell(0);
    }
    for await (const repository of repositories(join(this.#root, "repositories"))) {
      this.#done.repositories += 1;
      await this.#repository(repository);
    }
    await this.#storage.admin.recount();
    return this.#done;
  }

  /** One file that the disk has lost, or the registry took away meanwhile, says nothing of the others. */
  async #readable({ path }: FoundBlob, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const code = systemCode(error);
      if (code === "EIO") this.#done.corrupt += 1;
      else if (code !== "ENOENT" || existsSync(path)) throw error;
    }
  }

  /** A verified copy, or another name of the same file where both are on one file system. */
  async #blob({ digest, path: from, size }: FoundBlob): Promise<void> {
    const { budget, metadata, blobs: plain } = this.#storage;
    if (await plain.open(digest)) {
      this.#done.known += 1;
      this.#tell(size);
      return;
    }
    if (budget.used + size > budget.limits.maxSize) {
      this.#done.omitted += 1;
      this.#tell(size);
      return;
    }
    if (!(await this.#isRight(digest, from))) {
      this.#done.corrupt += 1;
      return;
    }
    const hex = digestHex(digest);
    const folder = join(this.#storage.path, "blobs", digestAlgorithm(digest), hex.slice(0, 2));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const to = join(folder, hex);
    // The file itself, and not a symbolic link to it, which would be stored in its place.
    if (await linked(await realpath(from), to)) this.#done.linked += 1;
    else if (await this.#hasRoom(size)) await this.#copy(digest, from, to);
    else {
      this.#done.omitted += 1;
      return;
    }
    await metadata.blobs.put({ digest, size }, Date.now());
    budget.changeBlobBytes(size);
    this.#done.blobs += 1;
    this.#done.bytes += size;
  }

  /** A copy takes room on the disk, which a link does not. */
  async #hasRoom(size: number): Promise<boolean> {
    const { free } = await diskUsage(this.#storage.path);
    return free - size >= this.#storage.budget.limits.minFree;
  }

  #tell(read: number): void {
    this.#options.signal?.throwIfAborted();
    this.#read += read;
    this.#options.onProgress?.({ files: this.#files, bytes: this.#read, of: this.#of });
  }

  /** Under a name of its own until it is whole; what was copied is not trusted, but read again. */
  async #copy(digest: Digest, from: string, to: string): Promise<void> {
    const folder = join(this.#storage.path, ADOPTING_FOLDER);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Two may take over the same at once.
    const draft = join(folder, `${crypto.randomUUID()}-${digestHex(digest)}`);
    try {
      await copyFile(from, draft);
      const file = await open(draft, "r+");
      try {
        await file.datasync();
      } finally {
        await file.close();
      }
      // Read before, it is only read back here: it was counted once.
      if (!(await this.#isRight(digest, draft, false))) {
        throw new AdoptionError(
          `${from} changed while it was copied: stop the registry that uses it`,
        );
      }
      await rename(draft, to);
    } catch (error) {
      await rm(draft, { force: true });
      throw error;
    }
  }

  async #isRight(digest: Digest, path: string, isCounted = true): Promise<boolean> {
    const hasher = newHasher(digest);
    const file = await open(path, "r");
    const piece = Buffer.allocUnsafeSlow(PIECE);
    try {
      for (;;) {
        const { bytesRead } = await file.read(piece, 0, PIECE, null);
        if (bytesRead === 0) return hasher.digest("hex") === digestHex(digest);
        hasher.update(piece.subarray(0, bytesRead));
        this.#tell(isCounted ? bytesRead : 0);
      }
    } finally {
      await file.close();
    }
  }

  async #repository(repository: RepositoryName): Promise<void> {
    const folder = join(this.#root, "repositories", repository);
    const place = { upstream: this.#options.upstream, repository };
    for (const kind of ["_layers", "_manifests/revisions"]) {
      for (const algorithm of ["sha256", "sha512"]) {
        for (const hex of await names(join(folder, kind, algorithm))) {
          const digest = parseDigest(`${algorithm}:${hex}`);
          const size = digest && (await this.#storage.blobs.open(digest))?.size;
          if (!digest || size === undefined) continue;
          if (kind === "_layers") await this.#link(place, [{ digest, size }]);
          else await this.#manifest(place, digest);
        }
      }
    }
    for (const name of await names(join(folder, "_manifests/tags"))) {
      const tag = parseTag(name);
      const digest = await linkedDigest(join(folder, "_manifests/tags", name, "current/link"));
      if (!tag || !digest) continue;
      const mediaType = (await this.#storage.metadata.blobs.get(digest))?.mediaType;
      if (mediaType === undefined) continue;
      // Long ago, so that its registry is asked before it is served, where that answers.
      const checkedAt = 0;
      if (await this.#storage.metadata.tags.get(place, tag)) continue;
      await this.#storage.metadata.tags.put(place, tag, { digest, checkedAt });
      await this.#storage.sidecars.record(digest, { mediaType, repo: place, tag, at: checkedAt });
      this.#done.tags += 1;
    }
  }

  async #link(repo: RepositoryRef, links: readonly Link[]): Promise<void> {
    await this.#storage.metadata.links.add(repo, links);
    this.#storage.quotas.linked(
      repo.upstream,
      links.map(({ digest }) => digest),
    );
  }

  async #manifest(repo: RepositoryRef, digest: Digest): Promise<void> {
    const { blobs: plain, metadata, sidecars } = this.#storage;
    const stored = await plain.open(digest);
    if (!stored || stored.size > MAX_MANIFEST_BYTES) return;
    const manifest = readManifest(await stored.bytes.bytes());
    if (!manifest) return;
    const { mediaType, manifests, blobs } = manifest;
    await metadata.blobs.put({ digest, size: stored.size, mediaType }, Date.now());
    await this.#link(repo, [{ digest, size: stored.size }, ...manifests, ...blobs]);
    await sidecars.record(digest, { mediaType, repo, at: 0 });
    this.#done.manifests += 1;
  }
}

async function linked(from: string, to: string): Promise<boolean> {
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
