import { Fault, isUpstreamFault } from "../../oci/fault.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { SingleFlight } from "../single-flight.ts";
import {
  BYPASS,
  type CacheStatus,
  FORWARDED,
  HIT,
  MISS,
  REPLACED,
  staleAfter,
} from "../cache-status.ts";
import { isBypassed, type Upstream } from "../upstream.ts";
import type { PullMetadata } from "./pull-metadata.ts";

export interface CachedList<Value> {
  readonly value: Value;
  readonly cacheStatus: CacheStatus;
}

export interface ListQuery<Value> {
  readonly upstream: Upstream;
  readonly repo: RepositoryRef;
  /** Identifies the list within its repository, and with it the type of its value. */
  readonly key: string;
  fetch(): Promise<Value>;
  /** Reads a stored value, which was written as JSON. */
  parse(body: string): Value;
  /** Whether the value is to be stored; always, if absent. */
  readonly shouldStore?: (value: Value) => Promise<boolean>;
  /** Whether a stored value may be used without asking; always, if absent. */
  readonly isUsable?: (value: Value) => boolean;
}

/**
 * Lists that an upstream makes (tags, referrers): cached for the upstream's `tagTtl`, and served
 * stale if the upstream fails (stale-if-error, RFC 5861 section 4).
 */
export class ListCache {
  readonly #metadata: Pick<PullMetadata, "listings">;
  readonly #now: () => number;
  readonly #fetches = new SingleFlight<unknown>();

  constructor(metadata: Pick<PullMetadata, "listings">, now: () => number) {
    this.#metadata = metadata;
    this.#now = now;
  }

  /** @throws Fault if the upstream fails and no usable list is stored */
  async get<Value>(query: ListQuery<Value>): Promise<CachedList<Value>> {
    const { upstream, repo, key } = query;
    if (isBypassed(upstream, repo)) return { value: await query.fetch(), cacheStatus: BYPASS };
    const listing = await this.#metadata.listings.get(repo, key);
    const isUsable = !listing || (query.isUsable?.(query.parse(listing.body)) ?? true);
    const stored = isUsable ? listing : undefined;
    const age = stored ? this.#now() - stored.checkedAt : -1;
    if (stored && age >= 0 && age < upstream.settings.tagTtl) {
      return { value: query.parse(stored.body), cacheStatus: HIT };
    }
    const { staleFor = Infinity } = upstream.settings;
    const stale = age < staleFor ? stored : undefined;
    if (stale && upstream.registry.isUnhealthy) {
      const reason = `${upstream.settings.name} failed or limited requests a moment ago; it is not asked again yet`;
      return { value: query.parse(stale.body), cacheStatus: { result: "stale", reason } };
    }
    try {
      // The key determines the type of the value.
      return (await this.#fetches.run(`${repo.upstream}/${repo.repository} ${key}`, () =>
        this.#fetch(query, listing ? REPLACED : MISS),
      )) as CachedList<Value>;
    } catch (error) {
      if (!stale || !(error instanceof Fault) || !isUpstreamFault(error)) throw error;
      return { value: query.parse(stale.body), cacheStatus: staleAfter(error) };
    }
  }

  async #fetch<Value>(
    query: ListQuery<Value>,
    whenStored: CacheStatus,
  ): Promise<CachedList<Value>> {
    const value = await query.fetch();
    if (query.shouldStore && !(await query.shouldStore(value))) {
      return { value, cacheStatus: FORWARDED };
    }
    const listing = { body: JSON.stringify(value), checkedAt: this.#now() };
    await this.#metadata.listings.put(query.repo, query.key, listing);
    return { value, cacheStatus: whenStored };
  }
}
