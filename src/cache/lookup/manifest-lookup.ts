import type { Digest } from "../../oci/digest.ts";
import { Accept } from "../../oci/accept.ts";
import { Fault, isAnswer } from "../../oci/fault.ts";
import { parseManifest } from "../../oci/parse-manifest.ts";
import { DOCKER_MANIFEST, isIndexType, OCI_MANIFEST } from "../../oci/media-types.ts";
import type { Tag } from "../../oci/names.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type {
  FreshnessWindow,
  ManifestResult,
  ManifestHeadResult,
  ResolvedTag,
  StoredManifest,
} from "../results.ts";
import { SingleFlight } from "../single-flight.ts";
import { toHeadResult, headUpstream } from "../bypass/manifest-head.ts";
import type { GovernedTags } from "./governed-tags.ts";
import type { HeadTrust } from "./head-trust.ts";
import { isDigest, keyOf, type ManifestStore } from "./manifest-store.ts";
import type { Asker, NegativeCache } from "./negative-cache.ts";
import {
  type CacheStatus,
  BYPASS,
  HIT,
  COLLAPSED,
  MISS,
  FORWARDED,
  UNSTORED,
} from "../cache-status.ts";
import type { RepositoryAccess } from "./repository-access.ts";
import type { ServedTags } from "./served-tags.ts";
import type { TagChecks } from "./tag-checks.ts";
import type { TagResolver } from "./tag-resolver.ts";
import type { Bypass } from "../bypass/bypass.ts";
import { isBypassed, type Upstream } from "../upstream.ts";
import type { TagRecords } from "./tag-records.ts";

const ANY = new Accept(null);

/** The platform whose manifest a client without support for image indexes gets, as registry:2 does. */
const DEFAULT_PLATFORM = "linux/amd64";

export interface ManifestLookupOptions {
  readonly records: Pick<TagRecords, "get">;
  readonly checks: Pick<TagChecks, "toldByOthers" | "checked">;
  readonly manifests: ManifestStore;
  readonly tags: TagResolver;
  readonly negativeCache: NegativeCache;
  readonly trust: HeadTrust;
  readonly access: RepositoryAccess;
  readonly bypass: Bypass;
  readonly governed: Pick<GovernedTags, "has" | "manifest">;
  readonly served: Pick<ServedTags, "note">;
  /** In milliseconds of the epoch. */
  readonly now: () => number;
  /** Called with each manifest that a client has fetched. */
  readonly onServed?: ((repo: RepositoryRef, manifest: StoredManifest) => void) | undefined;
}

/** Answers requests for manifests: by tag or digest, with content negotiation (`Accept`). */
export class ManifestLookup {
  readonly #records: Pick<TagRecords, "get">;
  readonly #checks: ManifestLookupOptions["checks"];
  readonly #manifests: ManifestStore;
  readonly #tags: TagResolver;
  readonly #negativeCache: NegativeCache;
  readonly #trust: HeadTrust;
  readonly #access: RepositoryAccess;
  readonly #bypass: Bypass;
  readonly #governed: ManifestLookupOptions["governed"];
  readonly #served: ManifestLookupOptions["served"];
  readonly #now: () => number;
  readonly #onServed: NonNullable<ManifestLookupOptions["onServed"]>;
  readonly #heads = new SingleFlight<ManifestHeadResult | undefined>();

  constructor(options: ManifestLookupOptions) {
    const { records, checks, manifests, tags, negativeCache, trust, access, bypass } = options;
    this.#records = records;
    this.#checks = checks;
    this.#manifests = manifests;
    this.#tags = tags;
    this.#negativeCache = negativeCache;
    this.#trust = trust;
    this.#access = access;
    this.#bypass = bypass;
    this.#governed = options.governed;
    this.#served = options.served;
    this.#now = options.now;
    this.#onServed = options.onServed ?? ((): void => {});
  }

  /** @throws Fault */
  async get(
    upstream: Upstream,
    repo: RepositoryRef,
    reference: Tag | Digest,
    accept: Accept,
    asker: Asker = "GET",
  ): Promise<ManifestResult> {
    if (isBypassed(upstream, repo)) return this.#bypassed(upstream, repo, reference, accept, asker);
    const result = await this.#get(upstream, repo, reference, accept, asker);
    if (asker === "GET") this.#onServed(repo, result.manifest);
    if (!isDigest(reference)) this.#served.note(repo, reference, result.manifest.digest);
    return result;
  }

  /** Nothing of it is stored but where its tag pointed, and that only if more than its registry decides about it. */
  #bypassed(
    upstream: Upstream,
    repo: RepositoryRef,
    reference: Tag | Digest,
    accept: Accept,
    asker: Asker,
  ): Promise<ManifestResult> {
    const get = (one: Tag | Digest): Promise<ManifestResult> =>
      this.#bypass.manifest(upstream, repo, one, accept);
    if (isDigest(reference) || asker === "judge") return get(reference);
    if (!this.#governed.has(repo, reference)) return get(reference);
    return this.#governed.manifest(repo, reference, {
      resolve: async () => {
        const askedAt = this.#now();
        const { digest } = await this.#bypass.manifestHead(upstream, repo, reference, ANY);
        await this.#checks.checked(upstream, repo, reference, { digest, askedAt });
        return { digest, cacheStatus: BYPASS };
      },
      current: ({ digest }) => get(digest),
      byDigest: get,
      isStored: async () => false,
    });
  }

  async #get(
    upstream: Upstream,
    repo: RepositoryRef,
    reference: Tag | Digest,
    accept: Accept,
    asker: Asker,
  ): Promise<ManifestResult> {
    const result = isDigest(reference)
      ? await this.#byDigest(upstream, repo, reference, asker)
      : await this.#byTag(upstream, repo, reference, asker);
    const { mediaType } = result.manifest;
    if (accept.allowsManifest(mediaType)) return result;
    const child = isDigest(reference) ? undefined : await defaultChild(result.manifest, accept);
    if (!child) throw new Fault({ kind: "not-acceptable", mediaType });
    const { manifest, cacheStatus } = await this.#byDigest(upstream, repo, child, asker);
    const { held } = result.cacheStatus;
    const status = held === undefined ? cacheStatus : { ...cacheStatus, held };
    if (accept.allowsManifest(manifest.mediaType)) return { manifest, cacheStatus: status };
    throw new Fault({ kind: "not-acceptable", mediaType });
  }

  /**
   * A HEAD request for a manifest that is not stored is forwarded as a HEAD: upstreams that limit
   * pulls do not count it, and a client that only checks does not need a download.
   *
   * @throws Fault
   */
  async head(
    upstream: Upstream,
    repo: RepositoryRef,
    reference: Tag | Digest,
    accept: Accept,
  ): Promise<ManifestHeadResult> {
    // Its registry alone does not say what it is.
    if (!isDigest(reference) && this.#governed.has(repo, reference)) {
      return toHeadResult(await this.get(upstream, repo, reference, accept, "HEAD"));
    }
    if (isBypassed(upstream, repo)) {
      return this.#bypass.manifestHead(upstream, repo, reference, accept);
    }
    const digest = isDigest(reference)
      ? reference
      : ((await this.#records.get(repo, reference))?.digest ??
        (await this.#checks.toldByOthers(upstream, repo, reference))?.digest);
    const stored = digest && (await this.#manifests.get(repo, digest));
    if (!stored) {
      const remote = await this.#heads.run(
        `${repo.upstream}/${repo.repository} ${reference}`,
        () => this.#forwardHead(upstream, repo, reference),
        upstream.registry.askedAs,
      );
      if (remote && accept.allowsManifest(remote.mediaType)) return remote;
    }
    return toHeadResult(await this.get(upstream, repo, reference, accept, "HEAD"));
  }

  async #byTag(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
    asker: Asker,
  ): Promise<ManifestResult> {
    const resolve = (onNamed?: (digest: Digest) => void): Promise<ResolvedTag> =>
      this.#tags.resolve({ upstream, repo, tag, asker, onNamed });
    const current = (resolved: ResolvedTag): Promise<ManifestResult> =>
      this.#resolved(upstream, repo, tag, resolved, asker);
    if (asker === "judge" || !this.#governed.has(repo, tag)) return current(await resolve());
    return this.#governed.manifest(repo, tag, {
      resolve,
      current,
      byDigest: (digest) => this.#byDigest(upstream, repo, digest, asker),
      isStored: async (digest) => (await this.#manifests.get(repo, digest)) !== undefined,
    });
  }

  /** The manifest to which a tag points by its registry. */
  async #resolved(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
    { digest, cacheStatus, fresh, manifest }: ResolvedTag,
    asker: Asker,
  ): Promise<ManifestResult> {
    if (manifest) return toResult(manifest, cacheStatus);
    const stored = await this.#manifests.get(repo, digest);
    if (stored) {
      // Of a hit, nobody has been asked. An immutable tag is never asked for.
      const shown = fresh && (await this.#access.showManifest(upstream, repo, digest));
      return { manifest: stored, cacheStatus, ...(shown ? { fresh: overlap(fresh, shown) } : {}) };
    }
    try {
      return await this.#byDigest(upstream, repo, digest, asker);
    } catch (error) {
      // The tag may have moved since, and what it pointed to is gone.
      if (!(error instanceof Fault) || !isAnswer(error)) throw error;
      return toResult(await this.#tags.fetch(upstream, repo, tag), MISS);
    }
  }

  async #byDigest(
    upstream: Upstream,
    repo: RepositoryRef,
    digest: Digest,
    asker: Asker,
  ): Promise<ManifestResult> {
    const stored = await this.#manifests.get(repo, digest);
    if (stored) {
      const fresh = await this.#access.showManifest(upstream, repo, digest);
      return { manifest: stored, cacheStatus: HIT, ...(fresh ? { fresh } : {}) };
    }
    const cacheStatus = this.#manifests.isFetching(repo, digest) ? COLLAPSED : MISS;
    const manifest = await this.#negativeCache.run(
      { asker, what: keyOf(repo, digest), askedAs: upstream.registry.askedAs },
      upstream.settings.tagTtl,
      () => this.#manifests.fetch(upstream, repo, digest, { isPrompt: asker === "judge" }),
    );
    const tag = this.#trust.takeClaim(repo, digest);
    if (tag !== undefined) await this.#tags.recordClaim(upstream, repo, tag, digest);
    return toResult(manifest, cacheStatus);
  }

  /**
   * `undefined` if GET has to answer: the HEAD fails, or did not agree with GET a moment ago, or lacks the
   * digest, the size or a manifest's media type.
   */
  async #forwardHead(
    upstream: Upstream,
    repo: RepositoryRef,
    reference: Tag | Digest,
  ): Promise<ManifestHeadResult | undefined> {
    if (!isDigest(reference) && !this.#trust.isTrusted(repo)) return undefined;
    const head = await this.#negativeCache.run(
      { asker: "HEAD", what: keyOf(repo, reference), askedAs: upstream.registry.askedAs },
      upstream.settings.tagTtl,
      () => headUpstream(upstream, repo, reference),
    );
    if (!head) return undefined;
    // Nothing is recorded yet: first the registry has to give the bytes of this digest.
    if (!isDigest(reference)) this.#trust.claimed(repo, reference, head.digest);
    return { ...head, cacheStatus: FORWARDED };
  }
}

function toResult(manifest: StoredManifest, cacheStatus: CacheStatus): ManifestResult {
  return { manifest, cacheStatus: manifest.unstored ? UNSTORED : cacheStatus };
}

function overlap(one: FreshnessWindow, other: FreshnessWindow): FreshnessWindow {
  return { from: Math.max(one.from, other.from), until: Math.min(one.until, other.until) };
}

/** The manifest of the default platform, for a client that accepts manifests but not this index. */
async function defaultChild(manifest: StoredManifest, accept: Accept): Promise<Digest | undefined> {
  if (!isIndexType(manifest.mediaType)) return undefined;
  if (!accept.allows(OCI_MANIFEST) && !accept.allows(DOCKER_MANIFEST)) return undefined;
  const { manifests } = await parseManifest(manifest.bytes, manifest.mediaType);
  return manifests.find(({ platform }) => platform === DEFAULT_PLATFORM)?.digest;
}
