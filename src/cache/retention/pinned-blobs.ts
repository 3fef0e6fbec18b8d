import type { Digest } from "../../oci/digest.ts";
import { type ImagePattern, parseImagePattern } from "../../oci/image-pattern.ts";
import type { MetadataStore, Pin } from "../../store/metadata-store.ts";
import { type ManifestTrees, partsOf } from "./manifest-trees.ts";
import { allTags } from "./all-tags.ts";

/** How long the contents that pins mean are believed without looking again, in milliseconds. */
const BELIEVED_FOR = 10_000;

export interface PinnedSet {
  /** What must stay, and its size. As many as are pinned. */
  readonly sizes: ReadonlyMap<Digest, number>;
  /** Bytes of all of it together, each content once. */
  readonly bytes: number;
  /** Images that each pattern means. */
  readonly images: ReadonlyMap<string, number>;
}

/** What pins mean at a moment. What is new among it is used last, so looking again may wait a little. */
export class PinnedBlobs {
  readonly #metadata: Pick<MetadataStore, "tags" | "pins">;
  readonly #trees: ManifestTrees;
  #changes = 0;
  #known: { readonly content: PinnedSet; readonly until: number } | undefined;

  constructor(metadata: Pick<MetadataStore, "tags" | "pins">, trees: ManifestTrees) {
    this.#metadata = metadata;
    this.#trees = trees;
  }

  async content(): Promise<PinnedSet> {
    if (this.#known && performance.now() < this.#known.until) return this.#known.content;
    const changes = this.#changes;
    const content = await this.contentOf(await this.#metadata.pins.list());
    // A change that overtook the looking would otherwise be unknown for as long as this is believed.
    if (changes !== this.#changes) return this.content();
    this.#known = { content, until: performance.now() + BELIEVED_FOR };
    return content;
  }

  /** The pins have changed. */
  changed(): void {
    this.#changes += 1;
    this.#known = undefined;
  }

  async contentOf(pins: readonly Pin[]): Promise<PinnedSet> {
    const sizes = new Map<Digest, number>();
    const images = new Map(pins.map((pin) => [pin.pattern, 0]));
    const patterns = pins.flatMap((pin): { pin: Pin; pattern: ImagePattern }[] => {
      const pattern = parseImagePattern(pin.pattern);
      return pattern ? [{ pin, pattern }] : [];
    });
    const take = async ({ platforms, pattern }: Pin, digest: Digest): Promise<void> => {
      images.set(pattern, (images.get(pattern) ?? 0) + 1);
      const tree = await this.#trees.read(digest);
      if (!tree) return;
      for (const part of partsOf(tree, platforms)) sizes.set(part.digest, part.size);
    };
    if (patterns.length > 0) {
      for await (const { repo, tag, digest } of allTags(this.#metadata.tags)) {
        const { upstream, repository } = repo;
        for (const { pin, pattern } of patterns) {
          if (pattern.matches({ upstream, repository, tag, digest })) await take(pin, digest);
        }
      }
      // An image that was pulled by its digest may have no tag.
      for (const { pin, pattern } of patterns) {
        if (pattern.digest && images.get(pin.pattern) === 0) await take(pin, pattern.digest);
      }
    }
    const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    return { sizes, bytes, images };
  }
}
