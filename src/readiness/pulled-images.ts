import { EventLoopYielder } from "../event-loop/event-loop-yielder.ts";
import { allTags } from "../cache/retention/all-tags.ts";
import type { ManifestTrees, PlatformTree } from "../cache/retention/manifest-trees.ts";
import type { Digest } from "../oci/digest.ts";
import { ATTESTATION } from "../oci/platform-match.ts";
import type { MetadataStore, TagRecord, TagRef } from "../store/metadata-store.ts";
import type { WantedImage, WantedImages } from "./wanted.ts";

/** The share of the time of this thread that reading their manifests takes. */
const SHARE = 0.5;
/** As many digests as one query takes. */
const BATCH = 512;
/** Of cosign, and of referrers: no images that anything runs. */
const SIGNED = /^sha(?:256|512)-[0-9a-f]{64}/;

export interface PulledImagesOptions {
  readonly metadata: Pick<MetadataStore, "tags" | "blobs">;
  readonly trees: Pick<ManifestTrees, "read">;
  /** How long ago an image may have been pulled, in milliseconds; 0 if none is wanted for that. */
  readonly within: () => number;
  /** In milliseconds of the epoch. */
  readonly now?: () => number;
}

/**
 * Images that were pulled by tag of late, for the platforms for which they were: who pulled them will do so
 * again. One of which clients only read manifests was not pulled.
 */
export class PulledImages implements WantedImages {
  readonly name = "pulls";
  readonly #options: PulledImagesOptions;

  constructor(options: PulledImagesOptions) {
    this.#options = options;
  }

  async *list(signal: AbortSignal): AsyncGenerator<WantedImage> {
    const { metadata, within, now = Date.now } = this.#options;
    if (within() === 0) return;
    const since = now() - within();
    let batch: (TagRef & TagRecord)[] = [];
    for await (const tag of allTags(metadata.tags)) {
      signal.throwIfAborted();
      if (!SIGNED.test(tag.tag)) batch.push(tag);
      if (batch.length < BATCH) continue;
      yield* this.#usedSince(since, batch);
      batch = [];
    }
    yield* this.#usedSince(since, batch);
  }

  async *#usedSince(
    since: number,
    tags: readonly (TagRef & TagRecord)[],
  ): AsyncGenerator<WantedImage> {
    const turns = new EventLoopYielder(SHARE);
    const used = await this.#used(tags.map(({ digest }) => digest));
    for (const { repo, tag, digest } of tags) {
      const usedAt = used.get(digest) ?? -Infinity;
      if (usedAt < since) continue;
      await turns.pause();
      const pulled = await this.#pulled(digest);
      if (!pulled) continue;
      const by = `pulled ${new Date(usedAt).toISOString().slice(0, 10)}`;
      yield { image: { ...repo, tag }, by, ...(pulled.length > 0 ? { platforms: pulled } : {}) };
    }
  }

  /** The platforms whose configs are here, which is the first thing that a runtime fetches after the manifest. */
  async #pulled(digest: Digest): Promise<readonly string[] | undefined> {
    const tree = await this.#options.trees.read(digest);
    const known = (tree?.platforms ?? []).filter(({ isCached, platform }) => {
      return isCached && platform !== ATTESTATION;
    });
    const configs = known.flatMap((platform) => configOf(platform) ?? []);
    const stored = await this.#used(configs.slice(0, BATCH));
    const pulled = known.filter((platform) => stored.has(configOf(platform) ?? digest));
    if (pulled.length === 0) return undefined;
    return pulled.flatMap(({ platform }) => platform ?? []);
  }

  async #used(digests: readonly Digest[]): Promise<ReadonlyMap<Digest, number>> {
    const records = await this.#options.metadata.blobs.find([...new Set(digests)]);
    return new Map(records.map(({ digest, usedAt }) => [digest, usedAt]));
  }
}

function configOf({ parts }: PlatformTree): Digest | undefined {
  return parts[1]?.digest;
}
