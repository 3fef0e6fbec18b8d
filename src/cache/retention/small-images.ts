import type { Digest } from "../../oci/digest.ts";
import type { RepositoryName, Tag, UpstreamName } from "../../oci/names.ts";
import type { MetadataStore, RepositoryRef, TagRef } from "../../store/metadata-store.ts";
import type { ManifestTree, ManifestTrees } from "./manifest-trees.ts";

/** An image that can be served whole without a request to its upstream. */
export interface SmallImage extends RepositoryRef {
  readonly digest: Digest;
  /** Of the blobs of one platform, in bytes. */
  readonly size: number;
}

export interface SmallImageQuery {
  readonly upstream: UpstreamName;
  /** Such as `linux/amd64`. */
  readonly platform: string;
  readonly isAllowed: (repository: RepositoryName) => boolean;
}

/** What one search reads at most: of tags, and of the images that they name. */
const MAX_TAGS = 256;
const MAX_IMAGES = 24;
/** A pull of it has to be quick, and is done by every node of a fleet. */
const MAX_BYTES = 64 * 1024 * 1024;
/** As many digests as one query takes. */
const MAX_PARTS = 512;

/** Finds images with which a node can try its wiring. */
export class SmallImages {
  readonly #metadata: Pick<MetadataStore, "tags" | "blobs" | "access">;
  readonly #trees: ManifestTrees;

  constructor(metadata: Pick<MetadataStore, "tags" | "blobs" | "access">, trees: ManifestTrees) {
    this.#metadata = metadata;
    this.#trees = trees;
  }

  /**
   * The smallest image of an upstream among the first that are tagged, and stored whole.
   *
   * @throws Fault if the metadata cannot be read
   */
  async find({ upstream, platform, isAllowed }: SmallImageQuery): Promise<SmallImage | undefined> {
    const seen = new Set<Digest>();
    let smallest: SmallImage | undefined;
    for (const { repo, digest } of await this.#metadata.tags.all(MAX_TAGS, before(upstream))) {
      if (repo.upstream !== upstream || seen.size >= MAX_IMAGES) break;
      if (seen.has(digest) || !isAllowed(repo.repository)) continue;
      if ((await this.#metadata.access.get(repo))?.isRefused) continue;
      seen.add(digest);
      const size = await this.#storedSize(digest, platform);
      if (size === undefined || size >= (smallest?.size ?? MAX_BYTES)) continue;
      smallest = { ...repo, digest, size };
    }
    return smallest;
  }

  /** Undefined unless every blob of the platform is stored. */
  async #storedSize(digest: Digest, platform: string): Promise<number | undefined> {
    const tree = await this.#trees.read(digest);
    const parts = tree && (await this.#partsOf(tree, platform));
    if (parts === undefined) return undefined;
    const digests = [...new Set(parts)];
    if (digests.length > MAX_PARTS) return undefined;
    const stored = await this.#metadata.blobs.find(digests);
    if (stored.length < digests.length) return undefined;
    return stored.reduce((sum, { size }) => sum + size, 0);
  }

  async #partsOf(tree: ManifestTree, wanted: string): Promise<Digest[] | undefined> {
    for (const { manifest, platform, parts, isCached } of tree.platforms) {
      const name = tree.isIndex ? platform : await this.#trees.platformOf(manifest);
      // An arm64 descriptor may add its variant: linux/arm64/v8.
      const isWanted = name === wanted || name?.startsWith(`${wanted}/`);
      if (isCached && isWanted) return [tree.root.digest, ...parts.map(({ digest }) => digest)];
    }
    return undefined;
  }
}

/** The place in the order of all tags that is before those of an upstream. */
function before(upstream: UpstreamName): TagRef {
  // Neither is the name of anything: they only have to be less than every name.
  return { repo: { upstream, repository: "" as RepositoryName }, tag: "" as Tag };
}
