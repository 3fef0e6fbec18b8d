import { matchesAny } from "../../config/parsing/repository-pattern.ts";
import { type Digest, looksLikeDigest } from "../../oci/digest.ts";
import type { Accept } from "../../oci/accept.ts";
import { Fault } from "../../oci/fault.ts";
import { parseManifest } from "../../oci/manifest.ts";
import { DOCKER_MANIFEST, isIndexType, OCI_MANIFEST } from "../../oci/media-types.ts";
import type { Tag } from "../../oci/names.ts";
import type { Index, Place } from "../../store/metadata-store.ts";
import type { ManifestAnswer, ManifestHeadAnswer } from "../results.ts";
import { Coalesce } from "../single-flight.ts";
import { described, headUpstream } from "../bypass/manifest-head.ts";
import { type HeldManifest, keyOf, type Manifests } from "./manifest-store.ts";
import type { Negatives } from "./negative-cache.ts";
import { type CacheNote, HIT, JOINED, MISS, PASSED_ON, UNSTORED } from "../cache-status.ts";
import { ALWAYS, type Tags } from "./tag-resolver.ts";
import type { Passing } from "../bypass/bypass.ts";
import { isBypassed, type Upstream } from "../upstream.ts";

/** What a client without knowledge of indexes is given of one, as registries have always done. */
const DEFAULT_PLATFORM = "linux/amd64";

export interface ManifestPullsOptions {
  readonly index: Index;
  readonly manifests: Manifests;
  readonly tags: Tags;
  readonly negatives: Negatives;
  readonly passing: Passing;
  readonly now: () => number;
}

/** Manifests as clients ask for them: by tag or digest, in the types that they understand. */
export class ManifestPulls {
  readonly #index: Index;
  readonly #manifests: Manifests;
  readonly #tags: Tags;
  readonly #negatives: Negatives;
  readonly #passing: Passing;
  readonly #now: () => number;
  readonly #heads = new Coalesce<ManifestHeadAnswer | undefined>();

  constructor({ index, manifests, tags, negatives, passing, now }: ManifestPullsOptions) {
    this.#index = index;
    this.#manifests = manifests;
    this.#tags = tags;
    this.#negatives = negatives;
    this.#passing = passing;
    this.#now = now;
  }

  /** @throws Fault */
  async get(
    upstream: Upstream,
    place: Place,
    reference: Tag | Digest,
    accept: Accept,
  ): Promise<ManifestAnswer> {
    if (isBypassed(upstream, place)) {
      return this.#passing.manifest(upstream, place, reference, accept);
    }
    const answer = isDigest(reference)
      ? await this.#byDigest(upstream, place, reference)
      : await this.#byTag(upstream, place, reference);
    const { mediaType } = answer.manifest;
    if (accept.allows(mediaType)) return answer;
    const child = isDigest(reference) ? undefined : defaultChild(answer.manifest, accept);
    if (!child) throw new Fault({ kind: "not-acceptable", mediaType });
    const { manifest, note } = await this.#byDigest(upstream, place, child);
    if (accept.allows(manifest.mediaType)) return { manifest, note };
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
    place: Place,
    reference: Tag | Digest,
    accept: Accept,
  ): Promise<ManifestHeadAnswer> {
    if (isBypassed(upstream, place)) {
      return this.#passing.manifestHead(upstream, place, reference, accept);
    }
    const digest = isDigest(reference)
      ? reference
      : (await this.#index.tags.get(place, reference))?.digest;
    const held = digest && (await this.#manifests.held(place, digest));
    if (!held) {
      const remote = await this.#heads.run(
        `${place.upstream}/${place.repository} ${reference}`,
        () => this.#askUpstream(upstream, place, reference),
      );
      if (remote && accept.allows(remote.mediaType)) return remote;
    }
    return described(await this.get(upstream, place, reference, accept));
  }

  async #byTag(upstream: Upstream, place: Place, tag: Tag): Promise<ManifestAnswer> {
    const { digest, note, fresh, manifest } = await this.#tags.resolve(upstream, place, tag);
    if (manifest) return fetched(manifest, note);
    const held = await this.#manifests.held(place, digest);
    if (held) return { manifest: held, note, ...(fresh ? { fresh } : {}) };
    return this.#byDigest(upstream, place, digest);
  }

  async #byDigest(upstream: Upstream, place: Place, digest: Digest): Promise<ManifestAnswer> {
    const held = await this.#manifests.held(place, digest);
    if (held) return { manifest: held, note: HIT, fresh: ALWAYS };
    const note = this.#manifests.isFetching(place, digest) ? JOINED : MISS;
    const manifest = await this.#negatives.run(keyOf(place, digest), () =>
      this.#manifests.fetch(upstream, place, digest),
    );
    return fetched(manifest, note);
  }

  /** `undefined` where the upstream's HEAD leaves open what has to be known. */
  async #askUpstream(
    upstream: Upstream,
    place: Place,
    reference: Tag | Digest,
  ): Promise<ManifestHeadAnswer | undefined> {
    const head = await this.#negatives.run(keyOf(place, reference), () =>
      headUpstream(upstream, place, reference),
    );
    if (!head) return undefined;
    const { digest } = head;
    // Of a tag that is never asked about again, only what was verified is remembered.
    if (!isDigest(reference) && !matchesAny(upstream.settings.immutableTags, reference)) {
      await this.#index.tags.put(place, reference, { digest, checkedAt: this.#now() });
    }
    return { ...head, note: PASSED_ON };
  }
}

function fetched(manifest: HeldManifest, note: CacheNote): ManifestAnswer {
  return { manifest, note: manifest.unstored ? UNSTORED : note };
}

function isDigest(reference: Tag | Digest): reference is Digest {
  return looksLikeDigest(reference);
}

function defaultChild(manifest: HeldManifest, accept: Accept): Digest | undefined {
  if (!isIndexType(manifest.mediaType)) return undefined;
  if (!accept.allows(OCI_MANIFEST) && !accept.allows(DOCKER_MANIFEST)) return undefined;
  const { manifests } = parseManifest(manifest.bytes, manifest.mediaType);
  return manifests.find(({ platform }) => platform === DEFAULT_PLATFORM)?.digest;
}
