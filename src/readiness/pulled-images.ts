import { EventLoopYielder } from "../event-loop/event-loop-yielder.ts";
import type { ManifestTrees, PlatformTree } from "../cache/retention/manifest-trees.ts";
import type { Digest } from "../oci/digest.ts";
import { parseTag, type Tag } from "../oci/names.ts";
import { ATTESTATION } from "../oci/platform-match.ts";
import type { PulledImage } from "../store/history-store.ts";
import type { MetadataStore, RepositoryRef } from "../store/metadata-store.ts";
import type { WantedImage, WantedImages } from "./wanted.ts";

/** The share of the time of this thread that reading their manifests takes. */
const SHARE = 0.5;
/** As many digests as one query takes. */
const BATCH = 512;
/** Of cosign, and of referrers: no images that anything runs. */
const SIGNED = /^sha(?:256|512)-[0-9a-f]{64}/;

export interface PulledImagesOptions {
  readonly metadata: Pick<MetadataStore, "blobs">;
  /** With which digest a tag is served. */
  readonly servedDigest: (repo: RepositoryRef, tag: Tag) => Promise<Digest | undefined>;
  readonly trees: Pick<ManifestTrees, "read">;
  /** What clients pulled since then, in milliseconds of the epoch. What is only warmed was pulled by nobody. */
  readonly pulledSince: (moment: number) => Promise<readonly PulledImage[]>;
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
    const { servedDigest, pulledSince, within, now = Date.now } = this.#options;
    if (within() === 0) return;
    const turns = new EventLoopYielder(SHARE);
    for (const { repo, reference, pulledAt } of await pulledSince(now() - within())) {
      await turns.pause();
      signal.throwIfAborted();
      const tag = parseTag(reference);
      if (!tag || SIGNED.test(tag)) continue;
      const digest = await servedDigest(repo, tag);
      const pulled = digest && (await this.#pulled(digest));
      if (!pulled) continue;
      const by = `pulled ${new Date(pulledAt).toISOString().slice(0, 10)}`;
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
    const stored = await this.#stored(configs.slice(0, BATCH));
    const pulled = known.filter((platform) => stored.has(configOf(platform) ?? digest));
    if (pulled.length === 0) return undefined;
    return pulled.flatMap(({ platform }) => platform ?? []);
  }

  async #stored(digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    const records = await this.#options.metadata.blobs.find([...new Set(digests)]);
    return new Set(records.map(({ digest }) => digest));
  }
}

function configOf({ parts }: PlatformTree): Digest | undefined {
  return parts[1]?.digest;
}
