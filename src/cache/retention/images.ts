import { type Digest, digestHex } from "../../oci/digest.ts";
import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import type { Tag } from "../../oci/names.ts";
import { EventLoopYielder } from "../../event-loop/event-loop-yielder.ts";
import type { BlobUse, MetadataStore, RepositoryRef } from "../../store/metadata-store.ts";
import { type ManifestTree, type ManifestTrees, partsOf } from "./manifest-trees.ts";
import { allTags } from "./all-tags.ts";

/** An image of which blobs are stored. Sizes are in bytes, times in milliseconds since the epoch. */
export interface CachedImage {
  /** Such as `docker.io/library/nginx`. */
  readonly image: string;
  /** Absent if no tag points to it. */
  readonly tag?: string;
  readonly digest: Digest;
  /** Platforms of which every blob is stored. */
  readonly platforms: readonly string[];
  /** Platforms whose manifest is stored, but not every blob. */
  readonly partial: readonly string[];
  /** Of its stored blobs. */
  readonly size: number;
  /** The part of `size` that other images use, too. */
  readonly shared: number;
  readonly lastUsed: number;
  /** ImagePattern of the first pin that keeps it. */
  readonly pin?: string;
}

/** An image by name and digest, in the types of the metadata store. */
export interface ImageName extends RepositoryRef {
  readonly tag?: Tag;
  readonly digest: Digest;
}

/** Blobs per metadata query. */
const BATCH_SIZE = 256;
/** The most manifests without a tag that are listed. A longer list would be of no use. */
const MAX_UNTAGGED = 10_000;

/** Lists images, from the recorded tags, the manifests and the stored blobs. */
export class Images {
  readonly #metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins">;
  readonly #trees: ManifestTrees;

  constructor(
    metadata: Pick<MetadataStore, "tags" | "links" | "blobs" | "pins">,
    trees: ManifestTrees,
  ) {
    this.#metadata = metadata;
    this.#trees = trees;
  }

  /**
   * The images that match a pattern, or all, one by one: there may be tens of thousands. While it runs it
   * takes about 50 bytes of memory per stored blob.
   */
  async *list(pattern?: ImagePattern): AsyncGenerator<CachedImage> {
    const isShared = await this.#sharedBlobs();
    const pins = (await this.#metadata.pins.list()).map((pin) => ({
      text: pin.pattern,
      pattern: parseImagePattern(pin.pattern),
    }));
    for await (const name of this.names()) {
      if (pattern && !pattern.matches(name)) continue;
      const tree = await this.#trees.read(name.digest);
      if (!tree) continue;
      const stored = await this.#storedParts(tree);
      const records = [...stored.values()];
      const platform = tree.isIndex ? undefined : await this.#trees.platformOf(name.digest);
      const pin = pins.find((candidate) => candidate.pattern?.matches(name));
      yield {
        image: `${name.upstream}/${name.repository}`,
        ...(name.tag === undefined ? {} : { tag: name.tag }),
        digest: name.digest,
        ...platformsOf(tree, stored, platform),
        size: records.reduce((sum, { size }) => sum + size, 0),
        shared: records.reduce((sum, { digest, size }) => sum + (isShared(digest) ? size : 0), 0),
        lastUsed: Math.max(0, ...records.map(({ usedAt }) => usedAt)),
        ...(pin ? { pin: pin.text } : {}),
      };
    }
  }

  /** Which blobs several images use. Several tags of the same manifest count once. */
  async #sharedBlobs(): Promise<(digest: Digest) => boolean> {
    const visited = new Set<number>();
    const used = new Set<number>();
    const shared = new Set<number>();
    for await (const { digest } of this.names()) {
      if (visited.has(prefixOf(digest))) continue;
      visited.add(prefixOf(digest));
      const tree = await this.#trees.read(digest);
      for (const part of tree ? partsOf(tree) : []) {
        const prefix = prefixOf(part.digest);
        if (used.has(prefix)) shared.add(prefix);
        else used.add(prefix);
      }
    }
    return (digest) => shared.has(prefixOf(digest));
  }

  /** Every tag, and then the manifests to which no tag and no index leads. */
  async *names(): AsyncGenerator<ImageName> {
    const reached = new Set<Digest>();
    for await (const { repo, tag, digest } of allTags(this.#metadata.tags)) {
      const tree = await this.#trees.read(digest);
      for (const { manifest } of tree?.platforms ?? []) reached.add(manifest);
      reached.add(digest);
      yield { upstream: repo.upstream, repository: repo.repository, tag, digest };
    }
    const yielder = new EventLoopYielder();
    // Collect them first: a manifest that an untagged index contains is not an image of its own.
    const untagged: Digest[] = [];
    let last: Digest | undefined;
    for (;;) {
      const page = await this.#metadata.blobs.page(BATCH_SIZE, last);
      last = page.at(-1)?.digest;
      if (last === undefined) break;
      for (const { digest, mediaType } of page) {
        await yielder.pause();
        if (mediaType === undefined || reached.has(digest)) continue;
        if (untagged.length < MAX_UNTAGGED) untagged.push(digest);
        const tree = await this.#trees.read(digest);
        if (!tree?.isIndex) continue;
        for (const { manifest } of tree.platforms) reached.add(manifest);
      }
    }
    for (const digest of untagged) {
      await yielder.pause();
      if (reached.has(digest)) continue;
      for (const { upstream, repository } of await this.#metadata.links.repositoriesOf(
        digest,
        16,
      )) {
        yield { upstream, repository, digest };
      }
    }
  }

  async #storedParts(tree: ManifestTree): Promise<Map<Digest, BlobUse>> {
    const digests = partsOf(tree).map(({ digest }) => digest);
    const stored = new Map<Digest, BlobUse>();
    for (let first = 0; first < digests.length; first += BATCH_SIZE) {
      const batch = digests.slice(first, first + BATCH_SIZE);
      for (const record of await this.#metadata.blobs.find(batch)) {
        stored.set(record.digest, record);
      }
    }
    return stored;
  }
}

/**
 * The first 48 bits of a digest, in a fifth of its memory. Good enough for figures: of a million blobs, two have
 * the same ones once in 500 stores.
 */
function prefixOf(digest: Digest): number {
  return Number.parseInt(digestHex(digest).slice(0, 12), 16);
}

/** @param imagePlatform of an image without an index */
function platformsOf(
  tree: ManifestTree,
  stored: ReadonlyMap<Digest, BlobUse>,
  imagePlatform: string | undefined,
): Pick<CachedImage, "platforms" | "partial"> {
  const platforms: string[] = [];
  const partial: string[] = [];
  for (const { platform = imagePlatform ?? "", parts, isCached: isHere } of tree.platforms) {
    // BuildKit gives attestation manifests in an index this platform.
    const name = platform === "unknown/unknown" ? "attestation" : platform;
    if (!isHere || name === "") continue;
    (parts.every(({ digest }) => stored.has(digest)) ? platforms : partial).push(name);
  }
  return { platforms, partial };
}
