import { LRUCache } from "lru-cache";
import { type Digest, digestAlgorithm, digestOf, looksLikeDigest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Manifest } from "../../oci/manifest.ts";
import type { Tag } from "../../oci/names.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { SingleFlight } from "../single-flight.ts";
import type { Fills } from "../fill/fills.ts";
import type { StoredManifest } from "../results.ts";
import type { Upstream } from "../upstream.ts";
import type { PullMetadata } from "./pull-metadata.ts";

/** Manifests kept in memory, in bytes; they are what every pull begins with. */
const MEMORY = 32 * 1024 * 1024;

export interface ManifestStoreOptions {
  readonly store: BlobStore;
  readonly metadata: Pick<PullMetadata, "blobs" | "links">;
  readonly fills: Fills;
  readonly now: () => number;
  /** Told of every manifest that was served from here. */
  readonly used: (digest: Digest) => void;
  /** Told of every manifest that was stored, and where it was seen. */
  readonly manifestStored: (repo: RepositoryRef, manifest: StoredManifest) => Promise<void>;
  /** Told where a manifest could be served but not stored. */
  readonly unstored: (digest: Digest, fault: Fault) => void;
}

/** Manifests as content: verified, stored, and what they reference made visible where they are. */
export class ManifestStore {
  readonly #options: ManifestStoreOptions;
  readonly #memory = new LRUCache<Digest, StoredManifest>({
    maxSize: MEMORY,
    sizeCalculation: ({ bytes }) => bytes.byteLength + 512,
  });
  readonly #fetches = new SingleFlight<StoredManifest>();

  constructor(options: ManifestStoreOptions) {
    this.#options = options;
  }

  /** The manifest, if it is here and may be seen at this place. */
  async stored(repo: RepositoryRef, digest: Digest): Promise<StoredManifest | undefined> {
    const link = await this.#options.metadata.links.get(repo, digest);
    const held = link && (this.#memory.get(digest) ?? (await this.#load(digest)));
    if (held) this.#options.used(digest);
    return held;
  }

  /** Content that is no longer stored is not served from memory either. */
  forget(digest: Digest): void {
    this.#memory.delete(digest);
  }

  /** Whether the fetch of it is under way, so that asking for it means joining. */
  isFetching(repo: RepositoryRef, reference: Tag | Digest): boolean {
    return this.#fetches.isRunning(keyOf(repo, reference));
  }

  /**
   * Fetches a manifest from its upstream, stores it, and links it with what it references.
   *
   * @throws Fault
   */
  fetch(upstream: Upstream, repo: RepositoryRef, reference: Tag | Digest): Promise<StoredManifest> {
    return this.#fetches.run(keyOf(repo, reference), async () => {
      const { registry } = upstream;
      const { digest, bytes, manifest } = await registry.getManifest(repo.repository, reference);
      const held: StoredManifest = { digest, mediaType: manifest.mediaType, bytes };
      return (await this.#keep(repo, held, manifest)) ? held : { ...held, unstored: true };
    });
  }

  async #keep(repo: RepositoryRef, held: StoredManifest, manifest: Manifest): Promise<boolean> {
    const { metadata, fills, now, unstored } = this.#options;
    const { digest, mediaType, bytes } = held;
    try {
      await fills.put(digest, bytes);
      await metadata.blobs.put({ digest, size: bytes.byteLength, mediaType }, now());
      await metadata.links.add(repo, [
        { digest, size: bytes.byteLength },
        ...manifest.manifests,
        ...manifest.blobs,
      ]);
      this.#memory.set(digest, held);
      await this.#options.manifestStored(repo, held);
      return true;
    } catch (error) {
      // A disk that fails must not fail the pull: the bytes are here and verified.
      if (!(error instanceof Fault)) throw error;
      unstored(digest, error);
      return false;
    }
  }

  async #load(digest: Digest): Promise<StoredManifest | undefined> {
    const { metadata, store } = this.#options;
    const content = await metadata.blobs.get(digest);
    if (content?.mediaType === undefined) return undefined;
    const stored = await store.open(digest);
    const bytes = await stored?.bytes.bytes().catch(() => undefined);
    if (!bytes) return undefined;
    if (digestOf(bytes, digestAlgorithm(digest)) !== digest) {
      await store.remove(digest);
      return undefined;
    }
    const held = { digest, mediaType: content.mediaType, bytes };
    this.#memory.set(digest, held);
    return held;
  }
}

/** Tells apart what may be asked of upstreams. */
export function keyOf(repo: RepositoryRef, reference: Tag | Digest): string {
  const separator = looksLikeDigest(reference) ? "@" : ":";
  return `${repo.upstream}/${repo.repository}${separator}${reference}`;
}
