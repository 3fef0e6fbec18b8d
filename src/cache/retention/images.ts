import type { Digest } from "../../oci/digest.ts";
import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import type { Tag } from "../../oci/names.ts";
import { EventLoopYielder } from "../../store/event-loop-yielder.ts";
import type { BlobUse, MetadataStore, RepositoryRef } from "../../store/metadata-store.ts";
import { type ManifestTree, type ManifestTrees, partsOf } from "./manifest-trees.ts";
import { allTags } from "./all-tags.ts";

/** An image of which something is here. Sizes are bytes, times milliseconds of the epoch. */
export interface CachedImage {
  /** `docker.io/library/nginx`. */
  readonly image: string;
  /** Absent where it is known by its digest alone. */
  readonly tag?: string;
  readonly digest: Digest;
  /** Platforms that are here in whole. */
  readonly platforms: readonly string[];
  /** Platforms of which a part is here. */
  readonly partial: readonly string[];
  readonly size: number;
  /** What other images hold as well. */
  readonly shared: number;
  readonly lastUsed: number;
  /** The pattern that keeps it. */
  readonly pin?: string;
}

/** An image by its name, in the types that the index takes. */
export interface ImageName extends RepositoryRef {
  readonly tag?: Tag;
  readonly digest: Digest;
}

/** Contents that are looked up at once. */
const LOOKED_UP = 256;
/** Manifests without a tag that are listed, beyond which a list is no use to anybody. */
const MOST_UNTAGGED = 10_000;

/** Images as people know them, put together from tags, manifests and what is held. */
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
   * Images that a pattern means, or all. While it works it remembers a number for each content that
   * is here, about 100 bytes each.
   */
  async list(pattern?: ImagePattern): Promise<CachedImage[]> {
    const uses = await this.uses();
    const pins = (await this.#metadata.pins.list()).map((pin) => ({
      text: pin.pattern,
      pattern: parseImagePattern(pin.pattern),
    }));
    const images: CachedImage[] = [];
    for await (const named of this.named()) {
      if (pattern && !pattern.matches(named)) continue;
      const tree = await this.#trees.read(named.digest);
      if (!tree) continue;
      const held = await this.#held(tree);
      const sizes = [...held.values()];
      const own = tree.isIndex ? undefined : await this.#trees.platformOf(named.digest);
      const pin = pins.find((one) => one.pattern?.matches(named));
      images.push({
        image: `${named.upstream}/${named.repository}`,
        ...(named.tag === undefined ? {} : { tag: named.tag }),
        digest: named.digest,
        ...platformsOf(tree, held, own),
        size: sizes.reduce((sum, { size }) => sum + size, 0),
        shared: sizes.reduce(
          (sum, { digest, size }) => sum + ((uses.get(digest) ?? 0) > 1 ? size : 0),
          0,
        ),
        lastUsed: Math.max(0, ...sizes.map(({ usedAt }) => usedAt)),
        ...(pin ? { pin: pin.text } : {}),
      });
    }
    return images;
  }

  /** How many images hold each content; tags of the same manifest count once. */
  async uses(): Promise<Map<Digest, number>> {
    const uses = new Map<Digest, number>();
    const seen = new Set<Digest>();
    for await (const { digest } of this.named()) {
      if (seen.has(digest)) continue;
      seen.add(digest);
      const tree = await this.#trees.read(digest);
      for (const part of tree ? partsOf(tree) : []) {
        uses.set(part.digest, (uses.get(part.digest) ?? 0) + 1);
      }
    }
    return uses;
  }

  /** Every tag, and then the manifests that no tag leads to. */
  async *named(): AsyncGenerator<ImageName> {
    const reached = new Set<Digest>();
    for await (const { repo, tag, digest } of allTags(this.#metadata.tags)) {
      const tree = await this.#trees.read(digest);
      for (const { manifest } of tree?.platforms ?? []) reached.add(manifest);
      reached.add(digest);
      yield { upstream: repo.upstream, repository: repo.repository, tag, digest };
    }
    const yielder = new EventLoopYielder();
    // Indexes first: what one leads to is no image of its own.
    const loose: Digest[] = [];
    let last: Digest | undefined;
    for (;;) {
      const page = await this.#metadata.blobs.page(LOOKED_UP, last);
      last = page.at(-1)?.digest;
      if (last === undefined) break;
      for (const { digest, mediaType } of page) {
        await yielder.pause();
        if (mediaType === undefined || reached.has(digest)) continue;
        if (loose.length < MOST_UNTAGGED) loose.push(digest);
        const tree = await this.#trees.read(digest);
        if (!tree?.isIndex) continue;
        for (const { manifest } of tree.platforms) reached.add(manifest);
      }
    }
    for (const digest of loose) {
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

  async #held(tree: ManifestTree): Promise<Map<Digest, BlobUse>> {
    const digests = partsOf(tree).map(({ digest }) => digest);
    const held = new Map<Digest, BlobUse>();
    for (let first = 0; first < digests.length; first += LOOKED_UP) {
      const part = digests.slice(first, first + LOOKED_UP);
      for (const row of await this.#metadata.blobs.find(part)) held.set(row.digest, row);
    }
    return held;
  }
}

function platformsOf(
  tree: ManifestTree,
  held: ReadonlyMap<Digest, BlobUse>,
  own: string | undefined,
): Pick<CachedImage, "platforms" | "partial"> {
  const platforms: string[] = [];
  const partial: string[] = [];
  for (const { platform = own ?? "", parts, isHere } of tree.platforms) {
    // Attestations are entries without a platform of their own.
    const name = platform === "unknown/unknown" ? "attestation" : platform;
    if (!isHere || name === "") continue;
    (parts.every(({ digest }) => held.has(digest)) ? platforms : partial).push(name);
  }
  return { platforms, partial };
}
