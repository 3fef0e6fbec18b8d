import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import type { Link, Links, RepositoryRef } from "../metadata-store.ts";

/** About 8 MB of memory when full. */
const MAX_ENTRIES = 16_384;

/**
 * Links that were asked for a moment ago, in front of an index that this process alone writes to: a
 * question to the database costs more than all the rest of a small answer.
 *
 * What is not there is not remembered, or anybody could fill the memory with it.
 */
export class CachedLinks implements Links {
  readonly #links: Links;
  readonly #cache: LRUCache<string, Link>;
  #writes = 0;

  constructor(links: Links, remembered: number = MAX_ENTRIES) {
    this.#links = links;
    this.#cache = new LRUCache({ max: remembered });
  }

  /** Grows with every write, before and after it. */
  get revision(): number {
    return this.#writes;
  }

  async get(repo: RepositoryRef, digest: Digest): Promise<Link | undefined> {
    const key = keyOf(repo, digest);
    const known = this.#cache.get(key);
    if (known) return known;
    const writes = this.#writes;
    const link = await this.#links.get(repo, digest);
    // An answer that a write has overtaken may be the fact of before.
    if (link && writes === this.#writes) this.#cache.set(key, link);
    return link;
  }

  async add(repo: RepositoryRef, links: readonly Link[]): Promise<void> {
    this.#writes += 1;
    try {
      await this.#links.add(repo, links);
    } finally {
      this.#writes += 1;
      // Not remembered as they are: one without a size leaves the size that was known.
      for (const { digest } of links) this.#cache.delete(keyOf(repo, digest));
    }
  }

  async remove(repo: RepositoryRef, digest: Digest): Promise<void> {
    this.#writes += 1;
    // At once: from here on nobody is to see it, whenever the database is done.
    this.#cache.delete(keyOf(repo, digest));
    try {
      await this.#links.remove(repo, digest);
    } finally {
      this.#writes += 1;
      this.#cache.delete(keyOf(repo, digest));
    }
  }

  async removeAll(digest: Digest, upstream?: UpstreamName): Promise<void> {
    this.#writes += 1;
    this.#cache.clear();
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

  async removeUnstored(digests: readonly Digest[]): Promise<number> {
    if (digests.length === 0) return 0;
    this.#cache.clear();
    try {
      return await this.#links.removeUnstored(digests);
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

/** Neither a registry's name nor a digest can hold what separates them here. */
function keyOf({ upstream, repository }: RepositoryRef, digest: Digest): string {
  return `${upstream}/${repository}@${digest}`;
}
