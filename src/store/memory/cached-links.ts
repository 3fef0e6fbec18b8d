import { LRUCache } from "lru-cache";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryName, UpstreamName } from "../../oci/names.ts";
import type { Link, Links, Place } from "../metadata-store.ts";

/** About 8 MB of memory when full. */
const REMEMBERED = 16_384;

/**
 * Links that were asked for a moment ago, in front of an index that this process alone writes to: a
 * question to the database costs more than all the rest of a small answer.
 *
 * What is not there is not remembered, or anybody could fill the memory with it.
 */
export class RememberedLinks implements Links {
  readonly #links: Links;
  readonly #memory: LRUCache<string, Link>;
  #writes = 0;

  constructor(links: Links, remembered: number = REMEMBERED) {
    this.#links = links;
    this.#memory = new LRUCache({ max: remembered });
  }

  /** Grows with every write, before and after it. */
  get revision(): number {
    return this.#writes;
  }

  async get(place: Place, digest: Digest): Promise<Link | undefined> {
    const key = keyOf(place, digest);
    const known = this.#memory.get(key);
    if (known) return known;
    const writes = this.#writes;
    const link = await this.#links.get(place, digest);
    // An answer that a write has overtaken may be the fact of before.
    if (link && writes === this.#writes) this.#memory.set(key, link);
    return link;
  }

  async add(place: Place, links: readonly Link[]): Promise<void> {
    this.#writes += 1;
    try {
      await this.#links.add(place, links);
    } finally {
      this.#writes += 1;
      // Not remembered as they are: one without a size leaves the size that was known.
      for (const { digest } of links) this.#memory.delete(keyOf(place, digest));
    }
  }

  async remove(place: Place, digest: Digest): Promise<void> {
    this.#writes += 1;
    // At once: from here on nobody is to see it, whenever the database is done.
    this.#memory.delete(keyOf(place, digest));
    try {
      await this.#links.remove(place, digest);
    } finally {
      this.#writes += 1;
      this.#memory.delete(keyOf(place, digest));
    }
  }

  async removeAll(digest: Digest, upstream?: UpstreamName): Promise<void> {
    this.#writes += 1;
    this.#memory.clear();
    try {
      await this.#links.removeAll(digest, upstream);
    } finally {
      this.#writes += 1;
      this.#memory.clear();
    }
  }

  digests(limit: number, last?: Digest): Promise<Digest[]> {
    return this.#links.digests(limit, last);
  }

  async forget(digests: readonly Digest[]): Promise<number> {
    if (digests.length === 0) return 0;
    this.#memory.clear();
    try {
      return await this.#links.forget(digests);
    } finally {
      this.#writes += 1;
      this.#memory.clear();
    }
  }

  places(digest: Digest, limit: number): Promise<Place[]> {
    return this.#links.places(digest, limit);
  }

  upstreams(digest: Digest): Promise<UpstreamName[]> {
    return this.#links.upstreams(digest);
  }

  seenIn(upstream: UpstreamName, digests: readonly Digest[]): Promise<ReadonlySet<Digest>> {
    return this.#links.seenIn(upstream, digests);
  }

  repositories(upstream: UpstreamName, limit: number, last?: string): Promise<RepositoryName[]> {
    return this.#links.repositories(upstream, limit, last);
  }
}

/** Neither a registry's name nor a digest can hold what separates them here. */
function keyOf({ upstream, repository }: Place, digest: Digest): string {
  return `${upstream}/${repository}@${digest}`;
}
