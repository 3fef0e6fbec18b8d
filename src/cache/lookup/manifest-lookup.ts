import { matchesAny } from "../../config/parsing/glob-pattern.ts";
import { type Digest, looksLikeDigest } from "../../oci/digest.ts";
import type { Accept } from "../../oci/accept.ts";
import { Fault } from "../../oci/fault.ts";
import { parseManifest } from "../../oci/manifest.ts";
import { DOCKER_MANIFEST, isIndexType, OCI_MANIFEST } from "../../oci/media-types.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { ManifestResult, ManifestHeadResult, StoredManifest } from "../results.ts";
import { SingleFlight } from "../single-flight.ts";
import { headOf, headUpstream } from "../bypass/manifest-head.ts";
import { keyOf, type ManifestStore } from "./manifest-store.ts";
import type { NegativeCache } from "./negative-cache.ts";
import { type CacheStatus, HIT, COLLAPSED, MISS, FORWARDED, UNSTORED } from "../cache-status.ts";
import { ALWAYS_FRESH, type TagResolver } from "./tag-resolver.ts";
import type { Bypass } from "../bypass/bypass.ts";
import { isBypassed, type Upstream } from "../upstream.ts";
import type { PullMetadata } from "./pull-metadata.ts";

/** What a client without knowledge of indexes is given of one, as registries have always done. */
const DEFAULT_PLATFORM = "linux/amd64";

export interface ManifestLookupOptions {
  readonly metadata: Pick<PullMetadata, "tags">;
  readonly manifests: ManifestStore;
  readonly tags: TagResolver;
  readonly negativeCache: NegativeCache;
  readonly bypass: Bypass;
  readonly now: () => number;
}

/** Manifests as clients ask for them: by tag or digest, in the types that they understand. */
export class ManifestLookup {
  readonly #metadata: Pick<PullMetadata, "tags">;
  readonly #manifests: ManifestStore;
  readonly #tags: TagResolver;
  readonly #negativeCache: NegativeCache;
  readonly #bypass: Bypass;
  readonly #now: () => number;
  readonly #heads = new SingleFlight<ManifestHeadResult | undefined>();

  constructor({ metadata, manifests, tags, negativeCache, bypass, now }: ManifestLookupOptions) {
    this.#metadata = metadata;
    this.#manifests = manifests;
    this.#tags = tags;
    this.#negativeCache = negativeCache;
    this.#bypass = bypass;
    this.#now = now;
  }

  /** @throws Fault */
  async get(
    upstream: Upstream,
    repo: RepositoryRef,
    reference: Tag | Digest,
    accept: Accept,
  ): Promise<ManifestResult> {
    if (isBypassed(upstream, repo)) {
      return this.#bypass.manifest(upstream, repo, reference, accept);
    }
    const answer = isDigest(reference)
      ? await this.#byDigest(upstream, repo, reference)
      : await this.#byTag(upstream, repo, reference);
    const { mediaType } = answer.manifest;
    if (accept.allows(mediaType)) return answer;
    const child = isDigest(reference) ? undefined : defaultChild(answer.manifest, accept);
    if (!child) throw new Fault({ kind: "not-acceptable", mediaType });
    const { manifest, cacheStatus } = await this.#byDigest(upstream, repo, child);
    if (accept.allows(manifest.mediaType)) return { manifest, cacheStatus };
    throw new Fault({ kind: "not-acceptable", mediaType });
  }

  /**
   * Where the manifest is not here, the upstream's own HEAD is passed on: it is free where pulls
   * are limited, and who only looks does not want a download.
   *
   * @throws Fault
   */
  async head(
    upstream: Upstream,
    repo: RepositoryRef,
    reference: Tag | Digest,
    accept: Accept,
  ): Promise<ManifestHeadResult> {
    if (isBypassed(upstream, repo)) {
      return this.#bypass.manifestHead(upstream, repo, reference, accept);
    }
    const digest = isDigest(reference)
      ? reference
      : (await this.#metadata.tags.get(repo, reference))?.digest;
    const held = digest && (await this.#manifests.stored(repo, digest));
    if (!held) {
      const remote = await this.#heads.run(`${repo.upstream}/${repo.repository} ${reference}`, () =>
        this.#askUpstream(upstream, repo, reference),
      );
      if (remote && accept.allows(remote.mediaType)) return remote;
    }
    return headOf(await this.get(upstream, repo, reference, accept));
  }

  async #byTag(upstream: Upstream, repo: RepositoryRef, tag: Tag): Promise<ManifestResult> {
    const { digest, cacheStatus, fresh, manifest } = await this.#tags.resolve(upstream, repo, tag);
    if (manifest) return fetched(manifest, cacheStatus);
    const held = await this.#manifests.stored(repo, digest);
    if (held) return { manifest: held, cacheStatus, ...(fresh ? { fresh } : {}) };
    return this.#byDigest(upstream, repo, digest);
  }

  async #byDigest(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
  ): Promise<ManifestResult> {
    const held = await this.#manifests.stored(repo, digest);
    if (held) return { manifest: held, cacheStatus: HIT, fresh: ALWAYS_FRESH };
    const cacheStatus = this.#manifests.isFetching(repo, digest) ? COLLAPSED : MISS;
    const manifest = await this.#negativeCache.run(keyOf(repo, digest), () =>
      this.#manifests.fetch(upstream, repo, digest),
    );
    return fetched(manifest, cacheStatus);
  }

  /** `undefined` where the upstream's HEAD leaves open what has to be known. */
  async #askUpstream(
    upstream: Upstream,
    repo: RepositoryRef,
    reference: Tag | Digest,
  ): Promise<ManifestHeadResult | undefined> {
    const head = await this.#negativeCache.run(keyOf(repo, reference), () =>
      headUpstream(upstream, repo, reference),
    );
    if (!head) return undefined;
    const { digest } = head;
    // Of a tag that is never asked about again, only what was verified is remembered.
    if (!isDigest(reference) && !matchesAny(upstream.settings.immutableTags, reference)) {
      await this.#metadata.tags.put(repo, reference, { digest, checkedAt: this.#now() });
    }
    return { ...head, cacheStatus: FORWARDED };
  }
}

function fetched(manifest: StoredManifest, cacheStatus: CacheStatus): ManifestResult {
  return { manifest, cacheStatus: manifest.unstored ? UNSTORED : cacheStatus };
}

function isDigest(reference: Tag | Digest): reference is Digest {
  return looksLikeDigest(reference);
}

function defaultChild(manifest: StoredManifest, accept: Accept): Digest | undefined {
  if (!isIndexType(manifest.mediaType)) return undefined;
  if (!accept.allows(OCI_MANIFEST) && !accept.allows(DOCKER_MANIFEST)) return undefined;
  const { manifests } = parseManifest(manifest.bytes, manifest.mediaType);
  return manifests.find(({ platform }) => platform === DEFAULT_PLATFORM)?.digest;
}
