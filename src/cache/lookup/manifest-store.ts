import { LRUCache } from "lru-cache";
import { type Digest, digestAlgorithm, digestOf, looksLikeDigest } from "../../oci/digest.ts";
import { Fault } from "../../oci/fault.ts";
import type { Manifest } from "../../oci/manifest.ts";
import type { Tag } from "../../oci/names.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import type { Index, Place } from "../../store/metadata-store.ts";
import { Coalesce } from "../single-flight.ts";
import type { Fills } from "../fill/fills.ts";
import type { Upstream } from "../upstream.ts";

/** Manifests kept in memory, in bytes; they are what every pull begins with. */
const MEMORY = 32 * 1024 * 1024;

/** A manifest that is here: its very bytes, and the Content-Type they are served under. */
export interface HeldManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** It is here for this answer alone: it could not be stored. */
  readonly unstored?: boolean;
}

export interface ManifestsOptions {
  readonly store: BlobStore;
  readonly index: Index;
  readonly fills: Fills;
  readonly now: () => number;
  /** Told of every manifest that was served from here. */
  readonly used: (digest: Digest) => void;
  /** Told of every manifest that was stored, and where it was seen. */
  readonly learned: (place: Place, manifest: HeldManifest) => Promise<void>;
  /** Told where a manifest could be served but not stored. */
  readonly unstored: (digest: Digest, fault: Fault) => void;
}

/** Manifests as content: verified, stored, and what they reference made visible where they are. */
export class Manifests {
  readonly #options: ManifestsOptions;
  readonly #memory = new LRUCache<Digest, HeldManifest>({
    maxSize: MEMORY,
    sizeCalculation: ({ bytes }) => bytes.byteLength + 512,
  });
  readonly #fetches = new Coalesce<HeldManifest>();

  constructor(options: ManifestsOptions) {
    this.#options = options;
  }

  /** The manifest, if it is here and may be seen at this place. */
  async held(place: Place, digest: Digest): Promise<HeldManifest | undefined> {
    const link = await this.#options.index.links.get(place, digest);
    const held = link && (this.#memory.get(digest) ?? (await this.#load(digest)));
    if (held) this.#options.used(digest);
    return held;
  }

  /** Content that is no longer stored is not served from memory either. */
  forget(digest: Digest): void {
    this.#memory.delete(digest);
  }

  /** Whether the fetch of it is under way, so that asking for it means joining. */
  isFetching(place: Place, reference: Tag | Digest): boolean {
    return this.#fetches.isRunning(keyOf(place, reference));
  }

  /**
   * Fetches a manifest from its upstream, stores it, and links it with what it references.
   *
   * @throws Fault
   */
  fetch(upstream: Upstream, place: Place, reference: Tag | Digest): Promise<HeldManifest> {
    return this.#fetches.run(keyOf(place, reference), async () => {
      const { registry } = upstream;
      const { digest, bytes, manifest } = await registry.getManifest(place.repository, reference);
      const held: HeldManifest = { digest, mediaType: manifest.mediaType, bytes };
      return (await this.#keep(place, held, manifest)) ? held : { ...held, unstored: true };
    });
  }

  async #keep(place: Place, held: HeldManifest, manifest: Manifest): Promise<boolean> {
    const { index, fills, now, unstored } = this.#options;
    const { digest, mediaType, bytes } = held;
    try {
      await fills.put(digest, bytes);
      await index.contents.put({ digest, size: bytes.byteLength, mediaType }, now());
      await index.links.add(place, [
        { digest, size: bytes.byteLength },
        ...manifest.manifests,
        ...manifest.blobs,
      ]);
      this.#memory.set(digest, held);
      await this.#options.learned(place, held);
      return true;
    } catch (error) {
      // A disk that fails must not fail the pull: the bytes are here and verified.
      if (!(error instanceof Fault)) throw error;
      unstored(digest, error);
      return false;
    }
  }

  async #load(digest: Digest): Promise<HeldManifest | undefined> {
    const { index, store } = this.#options;
    const content = await index.contents.get(digest);
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
export function keyOf(place: Place, reference: Tag | Digest): string {
  const separator = looksLikeDigest(reference) ? "@" : ":";
  return `${place.upstream}/${place.repository}${separator}${reference}`;
}
