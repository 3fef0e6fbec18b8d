import { LRUCache } from "lru-cache";
import { type Digest, digestAlgorithm, digestOf, looksLikeDigest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import { type Manifest, ManifestError } from "../../oci/manifest.ts";
import { parseManifest } from "../../oci/parse-manifest.ts";
import type { Tag } from "../../oci/names.ts";
import type { BlobStore, StoredBlob } from "../../store/blob-store.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { SingleFlight } from "../single-flight.ts";
import type { Fills } from "../fill/fills.ts";
import type { NearManifest, NearSources } from "../fetch/near-sources.ts";
import type { StoredManifest } from "../results.ts";
import type { Upstream } from "../upstream.ts";
import { DISK_PATIENCE_MS } from "../with-timeout.ts";
import type { VerdictsFirst } from "../verdicts-first.ts";
import type { WriteBehind } from "../write-behind.ts";
import type { ManifestNews } from "./manifest-news.ts";
import type { PullMetadata } from "./pull-metadata.ts";
import type { RepositoryAccess } from "./repository-access.ts";

/** Size of the in-memory LRU cache of manifests in bytes. Every pull begins with a manifest. */
const MEMORY_BYTES = 32 * 1024 * 1024;
/** What an entry of that cache takes besides the manifest's bytes, roughly. */
const ENTRY_OVERHEAD_BYTES = 512;

export interface ManifestStoreOptions {
  readonly store: BlobStore;
  readonly metadata: Pick<PullMetadata, "blobs" | "links">;
  readonly access: RepositoryAccess;
  readonly fills: Fills;
  readonly behind: WriteBehind;
  readonly now: () => number;
  /** Who goes before what is fetched promptly is stored. */
  readonly verdicts: Pick<VerdictsFirst, "over">;
  /** What is asked for a digest before its upstream. */
  readonly near: NearSources;
  /** Called with a manifest that an upstream has sent, once it is stored. */
  readonly onFetched: (blob: Pick<StoredBlob, "digest" | "size">) => void;
  /** Absent if there are no other replicas. */
  readonly news?: ManifestNews | undefined;
  /** For manifests in memory, in bytes. */
  readonly memory?: number | undefined;
  /** Called with the digest of every manifest that was served from the store. */
  readonly recordAccess: (digest: Digest) => void;
  /** Called after a manifest was stored, with the repository in which it was found. */
  readonly onStored: (repo: RepositoryRef, manifest: StoredManifest) => Promise<void>;
  /** Quarantines a manifest whose bytes do not match its digest. Never rejects. */
  readonly quarantine: (digest: Digest) => Promise<unknown>;
  /** Called when a manifest was fetched but could not be stored. */
  readonly onNotStored: (digest: Digest, fault: Fault) => void;
}

export interface FetchOptions {
  /** What is asked for a digest before the upstream; by default, all that is near. */
  readonly near?: Pick<NearSources, "manifest">;
  /** Called once the manifest is verified, before it is stored, by the one call that fetches it. */
  readonly onNamed?: ((digest: Digest) => void) | undefined;
  /** Whether its bytes are wanted at once: the disk is not waited for. */
  readonly isPrompt?: boolean;
}

interface Fetched {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly manifest: Manifest;
  readonly digest: Digest;
  readonly source?: string;
}

/** A manifest that is being stored. */
interface Storing {
  readonly manifest: StoredManifest;
  /** Resolves once it is stored, or cannot be. */
  readonly ended: Promise<void>;
}

/**
 * Fetches and stores manifests. A manifest is verified, stored as a blob, and linked to its
 * repository together with the blobs and manifests that it references: those links are claimed. On a
 * slow disk, it is served before it is stored.
 */
export class ManifestStore {
  readonly #options: ManifestStoreOptions;
  readonly #memory: LRUCache<Digest, StoredManifest["bytes"]>;
  readonly #fetches = new SingleFlight<StoredManifest>();
  /** At most as many entries as there are writes behind. */
  readonly #storing = new Map<string, Storing>();

  constructor(options: ManifestStoreOptions) {
    this.#options = options;
    this.#memory = new LRUCache({
      maxSize: options.memory ?? MEMORY_BYTES,
      sizeCalculation: ({ byteLength }) => byteLength + ENTRY_OVERHEAD_BYTES,
    });
  }

  /** The manifest, if it is stored, or about to be, and its link to this repository is confirmed. */
  async get(repo: RepositoryRef, digest: Digest): Promise<StoredManifest | undefined> {
    const storing = this.#storing.size > 0 && this.#storing.get(keyOf(repo, digest));
    if (storing) return storing.manifest;
    const link = await this.#options.access.link(repo, digest);
    if (!link?.confirmed || link.manifestType === undefined) return undefined;
    const bytes = this.#memory.get(digest) ?? (await this.#load(digest));
    if (!bytes) return undefined;
    this.#options.recordAccess(digest);
    return { digest, mediaType: link.manifestType, bytes };
  }

  /** How many manifests clients have got that are still being stored. */
  get storing(): number {
    return this.#storing.size;
  }

  /** Resolves once a fetched manifest is stored, or cannot be. */
  async stored(repo: RepositoryRef, digest: Digest): Promise<void> {
    await this.#storing.get(keyOf(repo, digest))?.ended;
  }

  /** Drops a manifest that is no longer stored from memory. */
  forget(digest: Digest): void {
    this.#memory.delete(digest);
  }

  /** Drops all manifests from memory: they are read from the store again, or fetched. */
  forgetAll(): void {
    this.#memory.clear();
  }

  /** Whether it is being fetched, so that a call of `fetch` would share that fetch. */
  isFetching(repo: RepositoryRef, reference: Tag | Digest): boolean {
    return this.#fetches.isRunning(keyOf(repo, reference));
  }

  /**
   * Fetches a manifest from its upstream, stores it, and links it and what it references to the
   * repository. Single-flight: concurrent calls for the same reference share one fetch.
   *
   * @throws Fault
   */
  fetch(
    upstream: Upstream,
    repo: RepositoryRef,
    reference: Tag | Digest,
    { near = this.#options.near, onNamed, isPrompt = false }: FetchOptions = {},
  ): Promise<StoredManifest> {
    const fetch = async (): Promise<StoredManifest> => {
      const nearby = isDigest(reference)
        ? await this.#fetchNear(upstream, repo, reference, near)
        : undefined;
      const { digest, bytes, manifest, source } =
        nearby ?? (await this.#fetchFar(upstream, repo, reference));
      const of = source === undefined ? {} : { source };
      const fetched: StoredManifest = { digest, mediaType: manifest.mediaType, bytes, ...of };
      const store = async (): Promise<boolean> => {
        const isStored = await this.#storeVisibly(repo, fetched, manifest, isPrompt);
        if (isStored && !nearby) this.#options.onFetched({ digest, size: bytes.byteLength });
        return isStored;
      };
      const patience = isPrompt ? 0 : DISK_PATIENCE_MS;
      const storing = this.#options.behind.run(store, bytes.byteLength, patience);
      // From here on, `get` finds it.
      onNamed?.(digest);
      const isStored = await storing;
      return isStored === false ? { ...fetched, unstored: true } : fetched;
    };
    return this.#fetches.run(keyOf(repo, reference), fetch, upstream.registry.askedAs);
  }

  async #fetchFar(
    { registry }: Upstream,
    repo: RepositoryRef,
    reference: Tag | Digest,
  ): Promise<Fetched> {
    const { access, news, now } = this.#options;
    const askedAt = now();
    const fetched = await registry.getManifest(repo.repository, reference);
    await access.answered(repo);
    const { digest, bytes, manifest } = fetched;
    const given = { digest, size: bytes.byteLength, mediaType: manifest.mediaType };
    news?.given(repo, given, Math.max(0, now() - askedAt));
    return fetched;
  }

  /** From beside the upstream, if it is what was asked for, and may be seen in this repository. */
  async #fetchNear(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
    near: Pick<NearSources, "manifest">,
  ): Promise<Fetched | undefined> {
    const found = await near.manifest(repo, digest);
    if (!found || digestOf(found.bytes, digestAlgorithm(digest)) !== digest) return undefined;
    const { bytes, mediaType } = found;
    const manifest = await parseManifest(bytes, mediaType).catch((error: unknown) => {
      if (!(error instanceof ManifestError)) throw error;
      return undefined;
    });
    if (!manifest || !(await this.#isShown(upstream, repo, digest, found))) return undefined;
    return { bytes, manifest, digest };
  }

  async #isShown(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
    { answeredAgo }: NearManifest,
  ): Promise<boolean> {
    const { access } = this.#options;
    if (answeredAgo !== undefined && (await access.answeredBefore(upstream, repo, answeredAgo)))
      return true;
    if (!(await upstream.registry.headManifest(repo.repository, digest))) return false;
    await access.answered(repo);
    return true;
  }

  /** Stores a manifest that `get` finds meanwhile. Returns false if it could not be stored. */
  async #storeVisibly(
    repo: RepositoryRef,
    fetched: StoredManifest,
    manifest: Manifest,
    isPrompt: boolean,
  ): Promise<boolean> {
    const key = keyOf(repo, fetched.digest);
    const { promise, resolve } = Promise.withResolvers<void>();
    const storing: Storing = { manifest: fetched, ended: promise };
    this.#storing.set(key, storing);
    try {
      if (isPrompt) await this.#options.verdicts.over();
      return await this.#store(repo, fetched, manifest);
    } finally {
      if (this.#storing.get(key) === storing) this.#storing.delete(key);
      resolve();
    }
  }

  async #store(
    repo: RepositoryRef,
    fetched: StoredManifest,
    { manifests, blobs }: Manifest,
  ): Promise<boolean> {
    const { metadata, fills, now, onStored, onNotStored } = this.#options;
    const { digest, mediaType, bytes } = fetched;
    try {
      const size = bytes.byteLength;
      // Evicted in between, it would have a record without a file.
      const isRecorded = await fills.using(digest, async () => {
        await fills.put(digest, bytes);
        return metadata.blobs.put({ digest, size, mediaType }, now());
      });
      // Before the links, whose sidecar file then has the repository already.
      await onStored(repo, fetched);
      const own = { digest, size, confirmed: true, manifestType: mediaType };
      const isLinked = await metadata.links.add(repo, [own, ...manifests, ...blobs]);
      this.#memory.set(digest, bytes);
      return isRecorded && isLinked;
    } catch (error) {
      // A failing disk must not fail the pull: the verified bytes are in memory.
      if (!(error instanceof Fault)) throw error;
      onNotStored(digest, error);
      return false;
    }
  }

  /** Reads a manifest from the store and verifies it again; a corrupt one is quarantined. */
  async #load(digest: Digest): Promise<StoredManifest["bytes"] | undefined> {
    const { store, quarantine } = this.#options;
    const blob = await store.open(digest).catch((error: unknown) => {
      // Without descriptors or memory for its file, the upstream can still give it.
      if (!(error instanceof Fault)) throw error;
      return undefined;
    });
    if (!blob) return undefined;
    const bytes = await blob.bytes.bytes().catch((cause: unknown) => {
      store.readFailed(digest, cause);
      return undefined;
    });
    if (!bytes) return undefined;
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      await quarantine(digest);
      return undefined;
    }
    this.#memory.set(digest, bytes);
    return bytes;
  }
}

export function isDigest(reference: Tag | Digest): reference is Digest {
  return looksLikeDigest(reference);
}

/** A single-flight or cache key: one per tag and digest of a repository. */
export function keyOf(repo: RepositoryRef, reference: Tag | Digest): string {
  const separator = looksLikeDigest(reference) ? "@" : ":";
  return `${repo.upstream}/${repo.repository}${separator}${reference}`;
}
