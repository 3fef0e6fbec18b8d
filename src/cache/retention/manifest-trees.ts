import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import { isImageConfigType } from "../../oci/media-types.ts";
import { checkNesting } from "../../oci/json-elements.ts";
import { platformName } from "../../oci/platform.ts";
import { parseManifest } from "../../oci/parse-manifest.ts";
import { type Manifest, ManifestError, MAX_MANIFEST_BYTES } from "../../oci/manifest.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import { isStored, openReadable } from "../../store/repair/look-up.ts";
import type { BlobRecords } from "../../store/metadata-store.ts";

/** Parsed manifests in memory (LRU), and all descriptors in them together: some 3 MB when full. */
const MAX_CACHED = 256;
const MAX_CACHED_DESCRIPTORS = 16_384;

/** The largest config of an image that is read, in bytes: parsing it takes some milliseconds. */
const MAX_CONFIG_BYTES = 1024 * 1024;

/** A blob of an image: a manifest, config or layer. An image may contain the same one repeatedly. */
export interface Part {
  readonly digest: Digest;
  /** In bytes, as the descriptor says. */
  readonly size: number;
  /** As the descriptor says; empty or absent if it does not. */
  readonly mediaType?: string;
}

export interface PlatformTree {
  /** Such as `linux/amd64`; absent if the root is not an image index. */
  readonly platform?: string;
  readonly manifest: Digest;
  /** Its manifest, config and layers; the manifest alone if that is not stored. */
  readonly parts: readonly Part[];
  /** Whether its manifest is stored. */
  readonly isCached: boolean;
}

/** The blobs of an image, as its stored manifests name them. */
export interface ManifestTree {
  readonly root: Part;
  readonly isIndex: boolean;
  readonly platforms: readonly PlatformTree[];
}

/** Reads images as trees: an image index, the manifests of its platforms, and their blobs. */
export class ManifestTrees {
  readonly #store: Pick<BlobStore, "open">;
  readonly #records: Pick<BlobRecords, "get">;
  readonly #manifests = new LRUCache<Digest, Manifest & { readonly size: number }>({
    max: MAX_CACHED,
    maxSize: MAX_CACHED_DESCRIPTORS,
    sizeCalculation: ({ manifests, blobs }) => 1 + manifests.length + blobs.length,
  });
  readonly #platforms = new LRUCache<Digest, string>({ max: MAX_CACHED });

  constructor(store: Pick<BlobStore, "open">, records: Pick<BlobRecords, "get">) {
    this.#store = store;
    this.#records = records;
  }

  /** The tree of a manifest or image index; `undefined` if that is not stored. */
  async read(digest: Digest): Promise<ManifestTree | undefined> {
    const manifest = await this.#manifest(digest);
    if (!manifest) return undefined;
    const root = { digest, size: manifest.size };
    if (manifest.manifests.length === 0) {
      const parts = [root, ...manifest.blobs];
      return { root, isIndex: false, platforms: [{ manifest: digest, parts, isCached: true }] };
    }
    const platforms: PlatformTree[] = [];
    for (const entry of manifest.manifests) {
      const child = await this.#manifest(entry.digest);
      platforms.push({
        manifest: entry.digest,
        parts: [entry, ...(child?.blobs ?? [])],
        isCached: child !== undefined,
        ...(entry.platform ? { platform: entry.platform } : {}),
      });
    }
    return { root, isIndex: true, platforms };
  }

  /** The platform of an image without an index, such as `linux/amd64`, if its config is stored. */
  async platformOf(digest: Digest): Promise<string | undefined> {
    const cached = this.#platforms.get(digest);
    if (cached !== undefined) return cached;
    const manifest = await this.#manifest(digest);
    const config = manifest?.blobs.find(({ mediaType }) => isImageConfigType(mediaType));
    const stored = config && (await openReadable(this.#store, config.digest));
    if (!stored || stored.size > MAX_CONFIG_BYTES) return undefined;
    const platform = await configPlatform(stored.bytes);
    if (platform !== undefined) this.#platforms.set(digest, platform);
    return platform;
  }

  async #manifest(digest: Digest): Promise<(Manifest & { readonly size: number }) | undefined> {
    const cached = this.#manifests.get(digest);
    // What was read before holds on, so that the blobs of a pinned image stay.
    if (cached && (await isStored(this.#store, digest))) return cached;
    const stored = await openReadable(this.#store, digest);
    if (!stored || stored.size > MAX_MANIFEST_BYTES) return undefined;
    const mediaType = (await this.#records.get(digest))?.mediaType;
    if (mediaType === undefined) return undefined;
    try {
      const bytes = await stored.bytes.bytes().catch(() => undefined);
      if (!bytes) return undefined;
      const manifest = { ...(await parseManifest(bytes, mediaType)), size: stored.size };
      this.#manifests.set(digest, manifest);
      return manifest;
    } catch (error) {
      if (error instanceof ManifestError) return undefined;
      throw error;
    }
  }
}

async function configPlatform(config: Blob): Promise<string | undefined> {
  try {
    const text = await config.text();
    await checkNesting(text);
    return platformName(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Every blob of a tree, each once. With `platforms`, only the root and the blobs of these. */
export function partsOf(tree: ManifestTree, platforms: readonly string[] = []): Part[] {
  const parts = new Map<Digest, Part>([[tree.root.digest, tree.root]]);
  for (const { platform, parts: own, isCached: isHere } of tree.platforms) {
    const isChosen =
      platforms.length === 0 || platform === undefined
        ? isHere
        : platforms.some((wanted) => platform === wanted || platform.startsWith(`${wanted}/`));
    if (!isChosen) continue;
    for (const part of own) parts.set(part.digest, part);
  }
  return [...parts.values()];
}
