import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import { TurnLimiter } from "../../event-loop/turn-limiter.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import type { Link, Links, Period, RepositoryRef } from "../metadata-store.ts";

/** How many links the cache holds at most: about 8 MB of memory. */
const MAX_ENTRIES = 16_384;

/**
 * Queries that begin in one turn of the event loop. Each takes about 0.1 ms, and what is in memory is
 * served in between.
 */
export const QUERIES_PER_TURN = 16;

/**
 * An LRU cache of confirmed links in front of a metadata database to which only this process writes. A
 * database query costs more than all the rest of a small response.
 *
 * Missing links are not cached: a client could fill the cache with requests for them. Nor are claimed
 * ones, which another repository's link may confirm; at the first request, the upstream does.
 */
export class CachedLinks implements Links {
  readonly #links: Links;
  readonly #cache: LRUCache<string, Link>;
  /** Confirmed links that are being written. As many entries as there are concurrent writes. */
  readonly #adding = new Map<string, Link>();
  readonly #queries = new TurnLimiter(QUERIES_PER_TURN);
  #writes = 0;

  constructor(links: Links, maxEntries: number = MAX_ENTRIES) {
    this.#links = links;
    this.#cache = new LRUCache(growingTo(maxEntries));
  }

  /** Grows with each write. */
  get revision(): number {
    return this.#writes;
  }

  async get(repo: RepositoryRef, digest: Digest): Promise<Link | undefined> {
    const key = keyOf(repo, digest);
    const cached = this.#cache.get(key);
    if (cached) return cached;
    await this.#queries.begin();
    const writes = this.#writes;
    const link = await this.#links.get(repo, digest);
    // If a write began or ended meanwhile, this may be the link from before it.
    if (link?.confirmed && writes === this.#writes) this.#cache.set(key, link);
    return link?.confirmed ? link : (this.#adding.get(key) ?? link);
  }

  async add(repo: RepositoryRef, links: readonly Link[], now?: number): Promise<void> {
    this.#writes += 1;
    const confirmed = links.filter((link) => link.confirmed);
    for (const link of confirmed) this.#adding.set(keyOf(repo, link.digest), link);
    try {
      await this.#links.add(repo, links, now);
    } finally {
      this.#writes += 1;
      // Not cached as given: a link without a size leaves the recorded size as it is.
      for (const { digest } of links) this.#cache.delete(keyOf(repo, digest));
      for (const link of confirmed) {
        const key = keyOf(repo, link.digest);
        if (this.#adding.get(key) === link) this.#adding.delete(key);
      }
    }
  }

  async remove(repo: RepositoryRef, digest: Digest): Promise<void> {
    this.#writes += 1;
    // Access ends at once, not only when the database has finished. Links of other repositories may
    // have been confirmed by this one.
    this.#cache.clear();
    this.#adding.clear();
    try {
      await this.#links.remove(repo, digest);
    } finally {
      this.#writes += 1;
      this.#cache.clear();
    }
  }

  async removeAll(digest: Digest, upstream?: UpstreamName): Promise<void> {
    this.#writes += 1;
    this.#cache.clear();
    this.#adding.clear();
    try {
      await this.#links.removeAll(digest, upstream);
    } finally {
      this.#writes += 1;
      this.#cache.clear();
    }
  }

  digests(limit: number, last?: Digest): Promise<Digest[]> {
    return this.#links.digests(limit, last);
  }

  async removeUnstored(digests: readonly Digest[], young: Period): Promise<number> {
    if (digests.length === 0) return 0;
    this.#cache.clear();
    try {
      return await this.#links.removeUnstored(digests, young);
    } finally {
      this.#writes += 1;
      this.#cache.clear();
    }
  }

  repositoriesOf(digest: Digest, limit: number): Promise<RepositoryRef[]> {
    return this.#links.repositoriesOf(digest, limit);
  }

  upstreams(digest: Digest): Promise<UpstreamName[]> {
    return this.#links.upstreams(digest);
  }

  visibleIn(upstream: UpstreamName, digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    return this.#links.visibleIn(upstream, digests);
  }

  repositories(upstream: UpstreamName, limit: number, last?: string): Promise<RepositoryName[]> {
    return this.#links.repositories(upstream, limit, last);
  }
}

/** Unambiguous: neither names nor digests contain the separators. */
function keyOf({ upstream, repository }: RepositoryRef, digest: Digest): string {
  return `${upstream}/${repository}@${digest}`;
}
