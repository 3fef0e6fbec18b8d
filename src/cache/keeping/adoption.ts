import { copyFile, link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  type Digest,
  digestAlgorithm,
  digestHex,
  newHasher,
  parseDigest,
} from "../../oci/digest.ts";
import { MAX_MANIFEST_BYTES, ManifestError, parseManifest } from "../../oci/manifest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../oci/media-types.ts";
import {
  parseRepositoryName,
  parseTag,
  type RepositoryName,
  type UpstreamName,
} from "../../oci/names.ts";
import type { Place } from "../../store/index.ts";
import { systemCode } from "../../store/storage-fault.ts";
import type { KeptStore } from "./kept-store.ts";

/** A folder that cannot be taken over. The message says why. */
export class AdoptionError extends Error {
  override readonly name = "AdoptionError";
}

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
  readonly onProgress?: (done: { readonly files: number; readonly bytes: number }) => void;
}

const PIECE = 1024 * 1024;

/**
 * Takes over what a registry:2 has stored below `docker/registry/v2`: bytes, and which of its
 * repositories and tags show them. Nothing of the folder is changed.
 *
 * @throws AdoptionError
 */
export async function adopt(kept: KeptStore, options: AdoptOptions): Promise<Adopted> {
  return new Adoption(kept, options, await registryRoot(options.folder)).run();
}

class Adoption {
  readonly #kept: KeptStore;
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
  #files = 0;
  #read = 0;

  constructor(kept: KeptStore, options: AdoptOptions, root: string) {
    this.#kept = kept;
    this.#options = options;
    this.#root = root;
  }

  async run(): Promise<Adopted> {
    for (const algorithm of ["sha256", "sha512"] as const) {
      const top = join(this.#root, "blobs", algorithm);
      for (const folder of await names(top)) {
        for (const hex of await names(join(top, folder))) {
          const digest = parseDigest(`${algorithm}:${hex}`);
          if (digest) await this.#blob(digest, join(top, folder, hex, "data"));
        }
      }
    }
    for await (const repository of repositories(join(this.#root, "repositories"))) {
      this.#done.repositories += 1;
      await this.#repository(repository);
    }
    await this.#kept.steward.recount();
    return this.#done;
  }

  /** A verified copy, or another name of the same file where both are on one file system. */
  async #blob(digest: Digest, from: string): Promise<void> {
    const facts = await stat(from).catch(() => undefined);
    if (!facts?.isFile()) return;
    this.#files += 1;
    if (await this.#kept.plain.open(digest)) {
      this.#done.known += 1;
      return;
    }
    const { space, index } = this.#kept;
    if (space.used + facts.size > space.bound.maxSize) {
      this.#done.omitted += 1;
      return;
    }
    if (!(await this.#isRight(digest, from))) {
      this.#done.corrupt += 1;
      return;
    }
    const hex = digestHex(digest);
    const folder = join(this.#kept.path, "blobs", digestAlgorithm(digest), hex.slice(0, 2));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const to = join(folder, hex);
    if (await linked(from, to)) this.#done.linked += 1;
    else await this.#copy(digest, from, to);
    await index.contents.put({ digest, size: facts.size }, Date.now());
    space.changeHeld(facts.size);
    this.#done.blobs += 1;
    this.#done.bytes += facts.size;
  }

  /** Under a name of its own until it is whole; what was copied is not trusted, but read again. */
  async #copy(digest: Digest, from: string, to: string): Promise<void> {
    const draft = join(this.#kept.path, "fills", digest.replace(":", "-"));
    await copyFile(from, draft);
    const file = await open(draft, "r+");
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
    if (!(await this.#isRight(digest, draft))) {
      await rm(draft, { force: true });
      throw new AdoptionError(
        `${from} changed while it was copied: stop the registry that uses it`,
      );
    }
    await rename(draft, to);
  }

  async #isRight(digest: Digest, path: string): Promise<boolean> {
    const hasher = newHasher(digest);
    const file = await open(path, "r");
    const piece = Buffer.allocUnsafeSlow(PIECE);
    try {
      for (;;) {
        const { bytesRead } = await file.read(piece, 0, PIECE, null);
        if (bytesRead === 0) return hasher.digest("hex") === digestHex(digest);
        hasher.update(piece.subarray(0, bytesRead));
        this.#read += bytesRead;
        this.#options.onProgress?.({ files: this.#files, bytes: this.#read });
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
          const size = digest && (await this.#kept.plain.open(digest))?.size;
          if (!digest || size === undefined) continue;
          if (kind === "_layers") await this.#kept.index.links.add(place, [{ digest, size }]);
          else await this.#manifest(place, digest);
        }
      }
    }
    for (const name of await names(join(folder, "_manifests/tags"))) {
      const tag = parseTag(name);
      const path = join(folder, "_manifests/tags", name, "current/link");
      const digest = parseDigest((await readFile(path, "utf8").catch(() => "")).trim());
      if (!tag || !digest) continue;
      const mediaType = (await this.#kept.index.contents.get(digest))?.mediaType;
      if (mediaType === undefined) continue;
      // Long ago, so that its registry is asked before it is served, where that answers.
      const checkedAt = 0;
      if (await this.#kept.index.tags.get(place, tag)) continue;
      await this.#kept.index.tags.put(place, tag, { digest, checkedAt });
      await this.#kept.facts.remember(digest, { mediaType, place, tag, at: checkedAt });
      this.#done.tags += 1;
    }
  }

  async #manifest(place: Place, digest: Digest): Promise<void> {
    const { plain, index, facts } = this.#kept;
    const stored = await plain.open(digest);
    if (!stored || stored.size > MAX_MANIFEST_BYTES) return;
    const manifest = readManifest(await stored.bytes.bytes());
    if (!manifest) return;
    const { mediaType, manifests, blobs } = manifest;
    await index.contents.put({ digest, size: stored.size, mediaType }, Date.now());
    await index.links.add(place, [{ digest, size: stored.size }, ...manifests, ...blobs]);
    await facts.remember(digest, { mediaType, place, at: 0 });
    this.#done.manifests += 1;
  }
}

/** A registry keeps no Content-Type: the manifest tells it, or its form does. */
function readManifest(bytes: Uint8Array): ReturnType<typeof parseManifest> | undefined {
  for (const assumed of [OCI_MANIFEST, OCI_INDEX, ""]) {
    try {
      return parseManifest(bytes, assumed);
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
    }
  }
  return undefined;
}

async function registryRoot(folder: string): Promise<string> {
  for (const below of ["docker/registry/v2", "registry/v2", "v2", ""]) {
    const root = join(folder, below);
    const found = await names(root);
    if (found.includes("blobs") && found.includes("repositories")) return root;
  }
  throw new AdoptionError(
    `${folder} is no registry's folder: it has no docker/registry/v2 with blobs and repositories. Name what registry:2 has as rootdirectory, most often /var/lib/registry`,
  );
}

/** Names of repositories: folders that hold `_manifests` or `_layers`, at any depth. */
async function* repositories(top: string, name = ""): AsyncGenerator<RepositoryName> {
  const found = await names(join(top, name));
  const repository = parseRepositoryName(name);
  if (repository && (found.includes("_manifests") || found.includes("_layers"))) yield repository;
  for (const child of found) {
    if (!child.startsWith("_")) yield* repositories(top, name === "" ? child : `${name}/${child}`);
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

async function names(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
