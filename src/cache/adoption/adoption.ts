import { existsSync } from "node:fs";
import { type FileHandle, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestAlgorithm, digestHex, parseDigest } from "../../oci/digest.ts";
import { MAX_MANIFEST_BYTES } from "../../oci/manifest.ts";
import { parseTag, type RepositoryName, type Tag, type UpstreamName } from "../../oci/names.ts";
import { ADOPTING_FOLDER } from "../../store/disk/disk-blob-store.ts";
import { isStored, openReadable } from "../../store/repair/look-up.ts";
import type { BlobRecord, Link, RepositoryRef } from "../../store/metadata-store.ts";
import { printable } from "../../printable.ts";
import { diskUsage } from "../../store/space/disk-usage.ts";
import { describeSystemError, systemCode } from "../../store/storage-fault.ts";
import { copyVerified, matchesDigest } from "./copy-file.ts";
import { type AdoptRequest, recordAdoption } from "./adopted-folders.ts";
import type { Adopted } from "./adopted.ts";
import { hardLink } from "./hard-link.ts";
import { mayHardLink } from "./link-policy.ts";
import { type Owner, ownerOfFiles } from "../../store/directory/ownership.ts";
import type { Storage } from "../retention/storage.ts";
import {
  AdoptionError,
  blobsOf,
  type FoundBlob,
  type LinkedDigest,
  linkedDigest,
  mustBeConfigured,
  readManifest,
  type RegistryRoot,
  registryRoot,
  repositories,
} from "./registry-v2-layout.ts";

export interface AdoptOptions extends AdoptRequest {
  readonly onProgress?: (done: {
    readonly files: number;
    readonly bytes: number;
    readonly of: { readonly files: number; readonly bytes: number };
  }) => void;
  readonly signal?: AbortSignal | undefined;
}

/** When the upstream confirmed what is adopted, in milliseconds of the epoch. */
const NEVER = 0;

/** With these errors, no other file could be stored either. */
const NOTHING_CAN_BE_STORED: ReadonlySet<string | undefined> = new Set([
  "ENOSPC",
  "EDQUOT",
  "EROFS",
  undefined,
]);

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
  await storage.mustBeWritable();
  try {
    const registry = await registryRoot(folder);
    await recordAdoption(storage.path, registry, options);
    return await new Adoption(storage, options, registry).run();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    const reason = `${describeSystemError(error)}: ${error instanceof Error ? error.message : ""}`;
    throw new AdoptionError(printable(`adopting ${folder} failed: ${reason}`), { cause: error });
  }
}

class Adoption {
  readonly #storage: Storage;
  readonly #options: AdoptOptions;
  readonly #registry: RegistryRoot;
  readonly #owner: Owner;
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

  constructor(storage: Storage, options: AdoptOptions, registry: RegistryRoot) {
    this.#storage = storage;
    this.#options = options;
    this.#registry = registry;
    this.#owner = ownerOfFiles(storage.path);
  }

  async run(): Promise<Adopted> {
    for await (const { size } of blobsOf(this.#registry)) {
      this.#total.files += 1;
      this.#total.bytes += size;
      this.#options.signal?.throwIfAborted();
    }
    for await (const found of blobsOf(this.#registry)) {
      await this.#goOnAfter(found, () => this.#adoptBlob(found));
      this.#filesDone += 1;
      this.#reportProgress(0);
    }
    for await (const repository of repositories(this.#registry)) {
      this.#result.repositories += 1;
      await this.#adoptRepository(repository);
    }
    await this.#storage.admin.recount();
    const { outside, failed } = this.#registry.folder;
    return { ...this.#result, failed: failed.count, failures: failed.listed, outside };
  }

  /** Notes a file that cannot be stored. The registry may have deleted it meanwhile, too. */
  async #goOnAfter({ path }: FoundBlob, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const code = systemCode(error);
      if (NOTHING_CAN_BE_STORED.has(code)) throw error;
      if (code !== "ENOENT" || existsSync(path)) this.#registry.folder.failed.unstored(path, error);
    }
  }

  /** Verifies a blob, and adds it as a hard link if both folders are on one file system, else as a copy. */
  async #adoptBlob(found: FoundBlob): Promise<void> {
    const { digest, path: from, size } = found;
    const { budget, metadata, blobs } = this.#storage;
    if (await isStored(blobs, digest)) {
      this.#result.known += 1;
      // An adoption that was killed may have stored it without its record.
      if (!(await metadata.blobs.get(digest))) await this.#record({ digest, size });
      this.#reportProgress(size);
      return;
    }
    if (budget.used + budget.spaceOf(size) > budget.limits.maxSize) {
      this.#result.omitted += 1;
      this.#reportProgress(size);
      return;
    }
    await using file = await this.#registry.folder.file(from);
    if (!file) return;
    const outcome = await this.#verifyAndStore(found, file);
    if (outcome !== "stored") {
      if (outcome !== "unreadable") this.#result[outcome] += 1;
      return;
    }
    await this.#record({ digest, size });
    this.#result.blobs += 1;
    this.#result.bytes += size;
  }

  async #record(blob: BlobRecord): Promise<void> {
    const { budget, metadata } = this.#storage;
    await metadata.blobs.put(blob, Date.now());
    budget.changeBlobBytes(budget.spaceOf(blob.size));
  }

  async #verifyAndStore(
    { digest, path: from, size }: FoundBlob,
    file: FileHandle,
  ): Promise<"stored" | "corrupt" | "omitted" | "unreadable"> {
    const isMatch = await this.#isIntact(digest, from, file);
    if (isMatch === undefined) return "unreadable";
    if (!isMatch) return "corrupt";
    const hex = digestHex(digest);
    const folder = join(this.#storage.path, "blobs", digestAlgorithm(digest), hex.slice(0, 2));
    const preparing = join(this.#storage.path, ADOPTING_FOLDER);
    for (const path of [folder, preparing]) await mkdir(path, { recursive: true, mode: 0o700 });
    // The name is unique, since two adoptions of the same folder may run at once.
    const temporary = join(preparing, `${crypto.randomUUID()}-${hex}`);
    const paths = { temporary, to: join(folder, hex) };
    const stats = await file.stat();
    const isShareable = mayHardLink(stats, this.#owner, this.#options.link);
    const linked = isShareable ? await hardLink(from, paths, stats) : "impossible";
    if (linked === "changed") return "corrupt";
    if (linked === "linked") this.#result.linked += 1;
    else if (!(await this.#hasSpaceFor(size))) return "omitted";
    // Not counted as progress: the bytes of the original were.
    else if (!(await copyVerified(digest, from, paths, () => this.#reportProgress(0))))
      return "corrupt";
    return "stored";
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

  /** Whether a file of the registry has its digest; `undefined` if it cannot be read. */
  async #isIntact(digest: Digest, path: string, file: FileHandle): Promise<boolean | undefined> {
    try {
      return await matchesDigest(digest, file, (bytes) => this.#reportProgress(bytes));
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      this.#registry.folder.failed.unreadable(path, error);
      return undefined;
    }
  }

  /** Records the links, manifests and tags of a repository. */
  async #adoptRepository(repository: RepositoryName): Promise<void> {
    const { folder: confined, root } = this.#registry;
    const folder = join(root, "repositories", repository);
    const repo = { upstream: this.#options.upstream, repository };
    for (const kind of ["_layers", "_manifests/revisions"]) {
      for (const algorithm of ["sha256", "sha512"]) {
        for (const hex of await confined.names(join(folder, kind, algorithm))) {
          const digest = parseDigest(`${algorithm}:${hex}`);
          const size = digest && (await openReadable(this.#storage.blobs, digest))?.size;
          if (!digest || size === undefined) continue;
          if (kind === "_layers") await this.#link(repo, [{ digest, size, confirmed: true }]);
          else await this.#adoptManifest(repo, digest);
        }
      }
    }
    for (const name of await confined.names(join(folder, "_manifests/tags"))) {
      const tag = parseTag(name);
      const link = join(folder, "_manifests/tags", name, "current/link");
      const linked = await linkedDigest(confined, link);
      if (!tag || !linked) continue;
      const mediaType = (await this.#storage.metadata.links.get(repo, linked.digest))?.manifestType;
      if (mediaType === undefined) continue;
      await this.#adoptTag(repo, tag, { ...linked, mediaType });
      this.#result.tags += 1;
    }
  }

  /**
   * Records a tag as stale, so that the upstream is asked before it is served, if it answers. What the
   * upstream has said itself stays; what an earlier adoption recorded does not, since the registry may have
   * fetched the tag anew.
   */
  async #adoptTag(
    repo: RepositoryRef,
    tag: Tag,
    { digest, writtenAt, mediaType }: LinkedDigest & { readonly mediaType: string },
  ): Promise<void> {
    const { metadata, sidecars } = this.#storage;
    const known = await metadata.tags.get(repo, tag);
    if (known && (known.checkedAt !== NEVER || known.digest === digest)) return;
    const seenAt = Math.min(writtenAt, Date.now());
    await metadata.tags.put(repo, tag, { digest, checkedAt: NEVER, seenAt });
    const stays = await metadata.tagHistory.of(repo, tag);
    await sidecars.record(digest, { mediaType, repo, tag, at: NEVER, stays });
    if (known) await sidecars.removeTag(known.digest, repo, tag);
  }

  async #link(repo: RepositoryRef, links: readonly Link[]): Promise<void> {
    const { metadata, sidecars, quotas } = this.#storage;
    await metadata.links.add(repo, links);
    for (const { digest, confirmed } of links) if (confirmed) await sidecars.confirm(digest, repo);
    const digests = links.map(({ digest }) => digest);
    quotas.linked(repo.upstream, digests);
  }

  async #adoptManifest(repo: RepositoryRef, digest: Digest): Promise<void> {
    const { metadata, sidecars } = this.#storage;
    const stored = await openReadable(this.#storage.blobs, digest);
    if (!stored || stored.size > MAX_MANIFEST_BYTES) return;
    const bytes = await stored.bytes.bytes().catch((cause: unknown) => {
      this.#registry.folder.failed.unstored(digest, cause);
      return undefined;
    });
    const manifest = bytes && (await readManifest(bytes));
    if (!manifest) return;
    const { mediaType, manifests, blobs } = manifest;
    await metadata.blobs.put({ digest, size: stored.size, mediaType }, Date.now());
    await sidecars.record(digest, { mediaType, repo, at: 0 });
    const own = { digest, size: stored.size, confirmed: true, manifestType: mediaType };
    await this.#link(repo, [own, ...manifests, ...blobs]);
    this.#result.manifests += 1;
  }
}
