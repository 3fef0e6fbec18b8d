import type { Digest } from "../../oci/digest.ts";
import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import type { MetadataStore, Pin } from "../../store/metadata-store.ts";
import { allTags } from "./all-tags.ts";
import { BlobMarks } from "./blob-marks.ts";
import { type ManifestTrees, type Part, partsOf } from "./manifest-trees.ts";

const PINNED = 1;

/** TTL of the resolved pins, in milliseconds. */
const TTL_MS = 10_000;

export interface PinnedSet {
  /** Whether a blob is pinned. */
  has(digest: Digest): boolean;
  /** What the pinned blobs take on the disk, whether they are stored or not; each counts once. */
  readonly bytes: number;
  /** By pattern, how many images it matches. */
  readonly images: ReadonlyMap<string, number>;
}

/**
 * Resolves pins to the blobs that they keep. The result is cached for TTL_MS: a blob that becomes
 * pinned meanwhile was used last, so LRU eviction does not reach it before that.
 */
export class PinnedBlobs {
  readonly #metadata: Pick<MetadataStore, "tags" | "blobs" | "pins">;
  readonly #trees: ManifestTrees;
  readonly #spaceOf: (size: number) => number;
  /** Number of calls of `invalidate`. */
  #generation = 0;
  #cached: { readonly pinned: PinnedSet; readonly until: number } | undefined;

  /** @param spaceOf what a blob of a size takes on the disk */
  constructor(
    metadata: Pick<MetadataStore, "tags" | "blobs" | "pins">,
    trees: ManifestTrees,
    spaceOf: (size: number) => number,
  ) {
    this.#metadata = metadata;
    this.#trees = trees;
    this.#spaceOf = spaceOf;
  }

  /** The blobs that all pins keep now. */
  async current(): Promise<PinnedSet> {
    if (this.#cached && performance.now() < this.#cached.until) return this.#cached.pinned;
    const generation = this.#generation;
    const pinned = await this.resolve(await this.#metadata.pins.list());
    // The pins changed meanwhile: resolve them again, instead of caching an outdated result.
    if (generation !== this.#generation) return this.current();
    this.#cached = { pinned, until: performance.now() + TTL_MS };
    return pinned;
  }

  /** To be called when the pins have changed. */
  invalidate(): void {
    this.#generation += 1;
    this.#cached = undefined;
  }

  /** The blobs that these pins keep. */
  async resolve(pins: readonly Pin[], signal?: AbortSignal): Promise<PinnedSet> {
    const images = new Map(pins.map((pin) => [pin.pattern, 0]));
    const patterns = pins.flatMap((pin): { pin: Pin; pattern: ImagePattern }[] => {
      const pattern = parseImagePattern(pin.pattern);
      return pattern ? [{ pin, pattern }] : [];
    });
    if (patterns.length === 0) return { has: () => false, bytes: 0, images };
    const marks = await BlobMarks.read(this.#metadata.blobs);
    /** Those that are not stored: few, since an image is pinned once it is here. */
    const absent = new Set<Digest>();
    let bytes = 0;
    const addPart = ({ digest, size }: Part): void => {
      const isNew = marks.knows(digest) ? marks.add(digest, PINNED) : !absent.has(digest);
      if (!isNew) return;
      bytes += this.#spaceOf(size);
      if (!marks.knows(digest)) absent.add(digest);
    };
    const add = async ({ platforms, pattern }: Pin, digest: Digest): Promise<void> => {
      images.set(pattern, (images.get(pattern) ?? 0) + 1);
      const tree = await this.#trees.read(digest);
      if (tree) partsOf(tree, platforms).forEach(addPart);
    };
    for await (const { repo, tag, digest } of allTags(this.#metadata.tags)) {
      signal?.throwIfAborted();
      const { upstream, repository } = repo;
      for (const { pin, pattern } of patterns) {
        if (pattern.matches({ upstream, repository, tag, digest })) await add(pin, digest);
      }
    }
    // An image that was pulled by digest may have no tag.
    for (const { pin, pattern } of patterns) {
      if (pattern.digest && images.get(pin.pattern) === 0) await add(pin, pattern.digest);
    }
    return { has: (digest) => marks.has(digest, PINNED) || absent.has(digest), bytes, images };
  }
}
