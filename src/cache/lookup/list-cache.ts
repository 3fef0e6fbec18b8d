import { LRUCache } from "lru-cache";
import { TurnLimiter } from "../../event-loop/turn-limiter.ts";
import { Fault, isRefusal, isUpstreamFault } from "../../oci/fault.ts";
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
import type { RepositoryAccess } from "./repository-access.ts";

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
  /** Reads a stored value. */
  parse(body: string): Value | Promise<Value>;
  /** Writes a value to be stored. */
  write(value: Value): string | Promise<string>;
  /** What a value takes in memory, in bytes. */
  sizeOf(value: Value): number;
  /** Whether the value is to be stored; always, if absent. */
  readonly shouldStore?: (value: Value) => Promise<boolean>;
  /** Whether a stored value may be used without asking; always, if absent. */
  readonly isUsable?: (value: Value) => boolean;
}

/** Limit for the lists in memory, in bytes; those of all repositories are in the metadata store. */
const MEMORY_BYTES = 32 * 1024 * 1024;
const ENTRY_OVERHEAD_BYTES = 512;

/** Lists that are looked up in the metadata store in one turn of the event loop; each takes about 0.1 ms. */
const READS_PER_TURN = 16;

interface TimedValue {
  readonly value: unknown;
  /** When the upstream sent it, in milliseconds of the epoch. */
  readonly checkedAt: number;
  /** In bytes. */
  readonly size: number;
}

/**
 * Lists that an upstream makes (tags, referrers): cached for the upstream's `tagTtl`, and served
 * stale if the upstream fails (stale-if-error, RFC 5861 section 4), as tags are.
 */
export class ListCache {
  /** Lists of a moment ago: reading and parsing a long one takes much longer than sending a page. */
  readonly #recent: LRUCache<string, TimedValue>;
  readonly #reads = new SingleFlight<TimedValue | undefined>();
  readonly #turns = new TurnLimiter(READS_PER_TURN);
  readonly #metadata: Pick<PullMetadata, "listings">;
  readonly #access: RepositoryAccess;
  readonly #now: () => number;
  readonly #fetches = new SingleFlight<unknown>();

  /** @param memory for lists in memory, in bytes */
  constructor(
    metadata: Pick<PullMetadata, "listings">,
    access: RepositoryAccess,
    now: () => number,
    memory: number = MEMORY_BYTES,
  ) {
    this.#recent = new LRUCache({
      maxSize: memory,
      sizeCalculation: ({ size }) => size + ENTRY_OVERHEAD_BYTES,
    });
    this.#metadata = metadata;
    this.#access = access;
    this.#now = now;
  }

  /** @throws Fault if the upstream fails and no usable list is stored */
  async get<Value>(query: ListQuery<Value>): Promise<CachedList<Value>> {
    const { upstream, repo } = query;
    if (isBypassed(upstream, repo)) return { value: await query.fetch(), cacheStatus: BYPASS };
    const name = nameOf(query);
    const listing =
      this.#recent.get(name) ?? (await this.#reads.run(name, () => this.#read(query)));
    // The key determines the type of the value, here and below.
    const valueOf = ({ value }: TimedValue): Value => value as Value;
    const isUsable = !listing || (query.isUsable?.(valueOf(listing)) ?? true);
    const stored = isUsable ? listing : undefined;
    const age = stored ? this.#now() - stored.checkedAt : -1;
    if (stored && age >= 0 && age < upstream.settings.tagTtl) {
      return { value: valueOf(stored), cacheStatus: HIT };
    }
    const { staleFor = Infinity } = upstream.settings;
    const stale = age < staleFor && !(await this.#access.isRefused(repo)) ? stored : undefined;
    if (stale && upstream.registry.isUnhealthy) {
      const reason = `${upstream.settings.name} failed or limited requests a moment ago; it is not asked again yet`;
      return { value: valueOf(stale), cacheStatus: { result: "stale", reason } };
    }
    try {
      return (await this.#fetches.run(
        name,
        () => this.#fetch(query, listing ? REPLACED : MISS),
        upstream.registry.askedAs,
      )) as CachedList<Value>;
    } catch (error) {
      if (!stale || !(error instanceof Fault) || !isUpstreamFault(error)) throw error;
      if (isRefusal(error) && !this.#access.mayOutlive(upstream, stale.checkedAt)) {
        await this.#access.refused(upstream, repo);
        throw error;
      }
      return { value: valueOf(stale), cacheStatus: staleAfter(error) };
    }
  }

  async #read<Value>(query: ListQuery<Value>): Promise<TimedValue | undefined> {
    await this.#turns.begin();
    const stored = await this.#metadata.listings.get(query.repo, query.key);
    if (!stored) return undefined;
    const value = await query.parse(stored.body);
    return this.#keep(query, value, stored.checkedAt);
  }

  #keep<Value>(query: ListQuery<Value>, value: Value, checkedAt: number): TimedValue {
    const timed = { value, checkedAt, size: query.sizeOf(value) };
    this.#recent.set(nameOf(query), timed);
    return timed;
  }

  async #fetch<Value>(
    query: ListQuery<Value>,
    whenStored: CacheStatus,
  ): Promise<CachedList<Value>> {
    const value = await query.fetch();
    await this.#access.answered(query.repo);
    if (query.shouldStore && !(await query.shouldStore(value))) {
      return { value, cacheStatus: FORWARDED };
    }
    const checkedAt = this.#now();
    this.#keep(query, value, checkedAt);
    const listing = { body: await query.write(value), checkedAt };
    const isWritten = await this.#metadata.listings.put(query.repo, query.key, listing);
    const isStored = isWritten && (query.isUsable?.(value) ?? true);
    return { value, cacheStatus: isStored ? whenStored : FORWARDED };
  }
}

function nameOf({ repo, key }: Pick<ListQuery<unknown>, "repo" | "key">): string {
  return `${repo.upstream}/${repo.repository} ${key}`;
}
