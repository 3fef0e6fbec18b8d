import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { Digest } from "../../oci/digest.ts";
import {
  type Manifest,
  ManifestError,
  MAX_MANIFEST_BYTES,
  parseManifest,
} from "../../oci/manifest.ts";
import type { BlobStore } from "../../store/blob-store.ts";
import type { BlobRecords } from "../../store/metadata-store.ts";

/** Manifests kept as they were read: some 10 MB when full. */
const MOST = 2048;

const CONFIG_TYPES: ReadonlySet<string> = new Set([
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.docker.container.image.v1+json",
]);
const configForm = z.object({
  os: z.string().min(1),
  architecture: z.string().min(1),
  variant: z.string().nullish(),
});

/** A content of an image, which an image may hold more than once. */
export interface Part {
  readonly digest: Digest;
  /** In bytes, as the manifest has it. */
  readonly size: number;
}

export interface PlatformTree {
  /** `linux/amd64`; absent for an image that is no index. */
  readonly platform?: string;
  readonly manifest: Digest;
  /** Its manifest, config and layers, as far as its manifest is here. */
  readonly parts: readonly Part[];
  readonly isHere: boolean;
}

/** What an image consists of, read from the manifests that are here. */
export interface ManifestTree {
  readonly root: Part;
  readonly isIndex: boolean;
  readonly platforms: readonly PlatformTree[];
}

/** Reads images as trees: an index, its platforms' manifests, and what these name. */
export class ManifestTrees {
  readonly #store: Pick<BlobStore, "open">;
  readonly #contents: Pick<BlobRecords, "get">;
  readonly #read = new LRUCache<Digest, Manifest & { readonly size: number }>({ max: MOST });

  readonly #platforms = new LRUCache<Digest, string>({ max: MOST });

  constructor(store: Pick<BlobStore, "open">, contents: Pick<BlobRecords, "get">) {
    this.#store = store;
    this.#contents = contents;
  }

  /** `undefined` where its manifest is not here. */
  async read(digest: Digest): Promise<ManifestTree | undefined> {
    const top = await this.#manifest(digest);
    if (!top) return undefined;
    const root = { digest, size: top.size };
    if (top.manifests.length === 0) {
      const parts = [root, ...top.blobs];
      return { root, isIndex: false, platforms: [{ manifest: digest, parts, isHere: true }] };
    }
    const platforms: PlatformTree[] = [];
    for (const entry of top.manifests) {
      const child = await this.#manifest(entry.digest);
      platforms.push({
        manifest: entry.digest,
        parts: [{ digest: entry.digest, size: entry.size }, ...(child?.blobs ?? [])],
        isHere: child !== undefined,
        ...(entry.platform ? { platform: entry.platform } : {}),
      });
    }
    return { root, isIndex: true, platforms };
  }

  /** `linux/amd64` of an image that is no index, as its configuration has it, where that is here. */
  async platformOf(digest: Digest): Promise<string | undefined> {
    const known = this.#platforms.get(digest);
    if (known !== undefined) return known;
    const manifest = await this.#manifest(digest);
    const config = manifest?.blobs.find(({ mediaType }) => CONFIG_TYPES.has(mediaType));
    if (!config || config.size > MAX_MANIFEST_BYTES) return undefined;
    const stored = await this.#store.open(config.digest);
    const read = configForm.safeParse(await stored?.bytes.json().catch(() => undefined));
    if (!read.success) return undefined;
    const { os, architecture, variant } = read.data;
    const platform = [os, architecture, ...(variant ? [variant] : [])].join("/");
    this.#platforms.set(digest, platform);
    return platform;
  }

  async #manifest(digest: Digest): Promise<(Manifest & { readonly size: number }) | undefined> {
    const known = this.#read.get(digest);
    const stored = await this.#store.open(digest);
    if (!stored || stored.size > MAX_MANIFEST_BYTES) return undefined;
    if (known) return known;
    const mediaType = (await this.#contents.get(digest))?.mediaType;
    if (mediaType === undefined) return undefined;
    try {
      const bytes = await stored.bytes.bytes().catch(() => undefined);
      if (!bytes) return undefined;
      const read = { ...parseManifest(bytes, mediaType), size: stored.size };
      this.#read.set(digest, read);
      return read;
    } catch (error) {
      if (error instanceof ManifestError) return undefined;
      throw error;
    }
  }
}

/** Every content of a tree, or of some platforms of it, each once. */
export function partsOf(tree: ManifestTree, platforms: readonly string[] = []): Part[] {
  const parts = new Map<Digest, Part>([[tree.root.digest, tree.root]]);
  for (const { platform, parts: own, isHere } of tree.platforms) {
    const isChosen =
      platforms.length === 0 || platform === undefined
        ? isHere
        : platforms.some((wanted) => platform === wanted || platform.startsWith(`${wanted}/`));
    if (!isChosen) continue;
    for (const part of own) parts.set(part.digest, part);
  }
  return [...parts.values()];
}
