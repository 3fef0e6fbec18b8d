import { setTimeout } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import { ManifestError } from "../../oci/manifest.ts";
import { parseManifest } from "../../oci/parse-manifest.ts";
import { growingTo } from "../../process/growing-to.ts";
import type { RepositoryRef } from "../../store/repository-ref.ts";
import type { PullMetadata } from "../lookup/pull-metadata.ts";
import { stayOfAges } from "../lookup/tag-news.ts";
import type { StoredManifest } from "../results.ts";
import type { ImageNews, KnownImage } from "./image-news.ts";

/** Manifests of which it is remembered that they were told, and digests that were asked for. */
const MAX_DIGESTS = 10_000;
/** How often it is told what a manifest is made of, in milliseconds: a ledger may have lost it. */
const TELL_AGAIN_MS = 3_600_000;
/** An index of more parts is no image. */
const MAX_PARTS = 1000;
/**
 * How long it takes at most until others hear of what a client was given, in milliseconds, and when it is looked for:
 * the client may ask for its parts here before that.
 */
const WAITS_MS = [0, 30, 70, 150, 250, 500];
/** What nobody has told by then is not waited for again so soon. */
const PATIENCE_MS = 10_000;

export interface ImagesElsewhereOptions {
  readonly news: ImageNews;
  readonly history: Pick<PullMetadata["tagHistory"], "add" | "digestSeen">;
  /** In milliseconds of the epoch. */
  readonly now: () => number;
}

/** What other replicas know of images: it becomes what this one knows. */
export class ImagesElsewhere {
  readonly #options: ImagesElsewhereOptions;
  readonly #told: LRUCache<string, true>;
  readonly #waited: LRUCache<string, true>;

  constructor(options: ImagesElsewhereOptions) {
    this.#options = options;
    const remembered = { ...growingTo(MAX_DIGESTS), perf: { now: options.now }, ttlResolution: 0 };
    this.#told = new LRUCache({ ...remembered, ttl: TELL_AGAIN_MS });
    this.#waited = new LRUCache({ ...remembered, ttl: PATIENCE_MS });
  }

  /** A client was given a manifest: others may be asked for its parts. */
  async given(repo: RepositoryRef, { digest, bytes, mediaType }: StoredManifest): Promise<void> {
    const { news, history, now } = this.#options;
    const key = keyOf(repo, digest);
    if (this.#told.has(key)) return;
    this.#told.set(key, true);
    try {
      const { blobs, manifests } = await parseManifest(bytes, mediaType);
      const parts = new Set([...blobs, ...manifests].map((part) => part.digest));
      if (parts.size > MAX_PARTS) return;
      const seenAt = await history.digestSeen(repo, digest, now());
      news.madeOf(repo, digest, Math.max(0, now() - seenAt), [...parts]);
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
    }
  }

  /**
   * Looks for an image that a digest is a part of, or is itself, and that passes. What others were given a moment ago
   * is waited for.
   *
   * @param passes given an image, and when others have seen it first by itself: in milliseconds of the epoch
   */
  async somePass(
    repo: RepositoryRef,
    digest: Digest,
    passes: (image: Digest, seenAt: number) => Promise<boolean>,
  ): Promise<boolean> {
    const key = keyOf(repo, digest);
    const waits = this.#waited.has(key) ? WAITS_MS.slice(0, 1) : WAITS_MS;
    const judged = new Set<Digest>();
    for (const wait of waits) {
      await setTimeout(wait);
      for (const image of await this.#options.news.imagesWith(repo, digest)) {
        if (judged.has(image.digest)) continue;
        judged.add(image.digest);
        if (await passes(image.digest, await this.#learn(repo, image))) return true;
      }
    }
    this.#waited.set(key, true);
    return false;
  }

  /** Returns when others have seen it first by itself. */
  async #learn(repo: RepositoryRef, { seenAgeMs, tags }: KnownImage): Promise<number> {
    const { history, now } = this.#options;
    const at = now();
    for (const { tag, stays } of tags) {
      const added = stays.map((stay) => stayOfAges(stay, at));
      await history.add(repo, tag, added);
    }
    return at - (seenAgeMs ?? 0);
  }
}

function keyOf({ upstream, repository }: RepositoryRef, digest: Digest): string {
  return `${upstream}/${repository}@${digest}`;
}
