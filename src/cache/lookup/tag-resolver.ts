import { matchesAny } from "../../config/parsing/glob-pattern.ts";
import { type Digest, looksLikeDigest } from "../../oci/digest.ts";
import { Fault, isUpstreamFault } from "../../oci/fault.ts";
import type { Tag, UpstreamName } from "../../oci/names.ts";
import type { RepositoryRef, TagRecord } from "../../store/metadata-store.ts";
import { SingleFlight } from "../single-flight.ts";
import { keyOf, type ManifestStore } from "./manifest-store.ts";
import type { NegativeCache } from "./negative-cache.ts";
import { type CacheStatus, HIT, COLLAPSED, MISS, REVALIDATED } from "../cache-status.ts";
import { withTimeout } from "../with-timeout.ts";
import type { FreshnessWindow, StoredManifest } from "../results.ts";
import type { Upstream } from "../upstream.ts";
import type { PullMetadata } from "./pull-metadata.ts";

/** Of what never changes. */
export const ALWAYS_FRESH: FreshnessWindow = { from: -Infinity, until: Infinity };

/** The longest that a pull whose answer is here waits to learn whether it is still the answer. */
const PATIENCE_MS = 1000;

export interface ResolvedTag {
  readonly digest: Digest;
  readonly cacheStatus: CacheStatus;
  /** Set for a hit: how long it is one, in milliseconds of the epoch. */
  readonly fresh?: FreshnessWindow;
  /** Where resolving brought the manifest along. */
  readonly manifest?: StoredManifest;
}

/** What tags point at: asked of the upstream at most once per TTL, and never in the way of an answer that is here. */
export class TagResolver {
  readonly #metadata: Pick<PullMetadata, "tags">;
  readonly #manifests: ManifestStore;
  readonly #negativeCache: NegativeCache;
  readonly #now: () => number;
  readonly #revalidations = new SingleFlight<ResolvedTag>();
  /** Upstreams that kept a revalidation waiting, and how many still do. */
  readonly #hanging = new Map<UpstreamName, number>();

  constructor(
    metadata: Pick<PullMetadata, "tags">,
    manifests: ManifestStore,
    negativeCache: NegativeCache,
    now: () => number,
  ) {
    this.#metadata = metadata;
    this.#manifests = manifests;
    this.#negativeCache = negativeCache;
    this.#now = now;
  }

  /**
   * What the tag points at now, or pointed at when its upstream last answered.
   *
   * @throws Fault where nothing is known of it, or the upstream says that it is gone
   */
  async resolve(upstream: Upstream, repo: RepositoryRef, tag: Tag): Promise<ResolvedTag> {
    const fact = await this.#metadata.tags.get(repo, tag);
    if (!fact) return this.#learn(upstream, repo, tag);
    const fresh = freshness(upstream, tag, fact);
    const now = this.#now();
    if (now >= fresh.from && now < fresh.until)
      return { digest: fact.digest, cacheStatus: HIT, fresh };
    if (!this.#mayBeStale(upstream, fact)) {
      return this.#revalidate(upstream, repo, tag, fact);
    }
    return this.#renew(upstream, repo, tag, fact);
  }

  #mayBeStale({ settings }: Upstream, fact: TagRecord): boolean {
    return settings.staleFor === undefined || this.#now() - fact.checkedAt < settings.staleFor;
  }

  async #learn(upstream: Upstream, repo: RepositoryRef, tag: Tag): Promise<ResolvedTag> {
    const cacheStatus = this.#manifests.isFetching(repo, tag) ? COLLAPSED : MISS;
    const manifest = await this.#negativeCache.run(keyOf(repo, tag), () =>
      this.#fetchNew(upstream, repo, tag),
    );
    await this.#metadata.tags.put(repo, tag, { digest: manifest.digest, checkedAt: this.#now() });
    return { digest: manifest.digest, cacheStatus, manifest };
  }

  /** Where requests are counted, a free HEAD may find that another tag has brought the manifest already. */
  async #fetchNew(upstream: Upstream, repo: RepositoryRef, tag: Tag): Promise<StoredManifest> {
    if (upstream.registry.budget) {
      const digest = await this.#askForDigest(upstream, repo, tag);
      const held = digest && (await this.#manifests.stored(repo, digest));
      if (held) return held;
    }
    return this.#manifests.fetch(upstream, repo, tag);
  }

  async #renew(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
    fact: TagRecord,
  ): Promise<ResolvedTag> {
    const { name } = upstream.settings;
    const { registry } = upstream;
    if (registry.isUnhealthy) {
      return stale(fact, `${name} failed or set a limit a moment ago and is not asked yet`);
    }
    const renewal = this.#revalidate(upstream, repo, tag, fact);
    if (registry.fault || this.#hanging.has(name)) {
      renewal.catch(() => {});
      return stale(fact, `${name} failed when it was last asked; it is being asked again`);
    }
    try {
      const renewed = await withTimeout(PATIENCE_MS, renewal);
      if (renewed) return renewed;
    } catch (error) {
      if (error instanceof Fault && isUpstreamFault(error))
        return stale(fact, error.message, error);
      throw error;
    }
    this.#notWaitedFor(name, renewal);
    return stale(fact, `${name} has not answered within ${PATIENCE_MS / 1000} s`);
  }

  #revalidate(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
    fact: TagRecord,
  ): Promise<ResolvedTag> {
    return this.#revalidations.run(`${repo.upstream}/${repo.repository}:${tag}`, async () => {
      try {
        const digest = await this.#askForDigest(upstream, repo, tag);
        if (digest === fact.digest) {
          await this.#metadata.tags.put(repo, tag, { digest, checkedAt: this.#now() });
          return { digest, cacheStatus: REVALIDATED };
        }
        const known = digest && (await this.#manifests.stored(repo, digest));
        if (!known && upstream.registry.isBudgetLow) {
          const left = upstream.registry.budget?.remaining ?? 0;
          const name = upstream.settings.name;
          return stale(
            fact,
            `${name} allows ${left} more requests, which are kept for new content`,
          );
        }
        // The manifest first: a tag never points at something that cannot be served.
        const manifest = known || (await this.#fetchMoved(upstream, repo, digest ?? tag));
        await this.#metadata.tags.put(repo, tag, {
          digest: manifest.digest,
          checkedAt: this.#now(),
        });
        const cacheStatus = manifest.digest === fact.digest ? REVALIDATED : MISS;
        return { digest: manifest.digest, cacheStatus, manifest };
      } catch (error) {
        if (error instanceof Fault && error.detail.kind === "not-found") {
          await this.#metadata.tags.remove(repo, tag);
        }
        throw error;
      }
    });
  }

  async #fetchMoved(
    upstream: Upstream,
    repo: RepositoryRef,
    reference: Digest | Tag,
  ): Promise<StoredManifest> {
    try {
      return await this.#manifests.fetch(upstream, repo, reference);
    } catch (error) {
      if (!(error instanceof Fault) || error.detail.kind !== "not-found") throw error;
      if (!looksLikeDigest(reference)) throw error;
      // The tag is there, so this is no word on whether the image is.
      const reason = `it has no ${reference}, to which its tag points`;
      const { name } = upstream.settings;
      throw new Fault(
        { kind: "upstream-invalid-response", upstream: name, reason },
        { cause: error },
      );
    }
  }

  /** By HEAD, which is free at Docker Hub; `undefined` where that does not tell. */
  async #askForDigest(
    upstream: Upstream,
    repo: RepositoryRef,
    tag: Tag,
  ): Promise<Digest | undefined> {
    const head = await upstream.registry.headManifest(repo.repository, tag);
    return head?.digest;
  }

  #notWaitedFor(name: UpstreamName, renewal: Promise<unknown>): void {
    this.#hanging.set(name, (this.#hanging.get(name) ?? 0) + 1);
    const answered = (): void => {
      const left = (this.#hanging.get(name) ?? 1) - 1;
      if (left > 0) this.#hanging.set(name, left);
      else this.#hanging.delete(name);
    };
    renewal.then(answered, answered);
  }
}

function freshness({ settings }: Upstream, tag: Tag, { checkedAt }: TagRecord): FreshnessWindow {
  if (matchesAny(settings.immutableTags, tag)) return ALWAYS_FRESH;
  // From its check on only: a clock that was set back must not make a fact last for ever.
  return { from: checkedAt, until: checkedAt + settings.tagTtl };
}

function stale(fact: TagRecord, reason: string, fault?: Fault): ResolvedTag {
  const status = fault && "status" in fault.detail ? fault.detail.status : undefined;
  const limited = fault?.detail.kind === "upstream-rate-limited" ? 429 : undefined;
  const upstreamStatus = status ?? limited;
  return {
    digest: fact.digest,
    cacheStatus: {
      result: "stale",
      reason,
      ...(upstreamStatus === undefined ? {} : { upstreamStatus }),
    },
  };
}
