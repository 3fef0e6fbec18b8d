import { LRUCache } from "lru-cache";
import { Fault, isUpstreamFault } from "../../oci/fault.ts";

/** TTL of "not found" in milliseconds. Short, since the content may be pushed at any moment. */
const NOT_FOUND_TTL_MS = 30_000;
/** TTL of any other failure of an upstream in milliseconds: it may recover even sooner. */
const FAILURE_TTL_MS = 5000;
const MAX_ENTRIES = 10_000;

/**
 * Negative cache: remembers for a short TTL that a request to an upstream failed, and lets the same
 * request fail again without asking the upstream. It is consulted only for what is not stored, so it
 * never hides stored content.
 */
export class NegativeCache {
  readonly #faults: LRUCache<string, Fault>;
  /** Number of calls of `clear`. */
  #generation = 0;

  /** @param now a monotonic clock, in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#faults = new LRUCache({ max: MAX_ENTRIES, perf: { now }, ttlResolution: 0 });
  }

  /** @throws Fault the cached one, or that of `work` */
  async run<Value>(key: string, work: () => Promise<Value>): Promise<Value> {
    const cached = this.#faults.get(key);
    if (cached) throw cached;
    const generation = this.#generation;
    try {
      return await work();
    } catch (error) {
      // A request from before `clear` was made with the old settings: its failure is not cached.
      if (error instanceof Fault && generation === this.#generation) this.#add(key, error);
      throw error;
    }
  }

  /** Forgets all failures, those of requests that are still running included. */
  clear(): void {
    this.#generation += 1;
    this.#faults.clear();
  }

  #add(key: string, fault: Fault): void {
    const ttl = fault.detail.kind === "not-found" ? NOT_FOUND_TTL_MS : FAILURE_TTL_MS;
    if (isCacheable(fault)) this.#faults.set(key, fault, { ttl });
  }
}

/**
 * Whether a fault is cached. A rate limit is not, since it names its own end (`Retry-After`); an
 * overload is not, since it is this cache's own limit of concurrent requests and says nothing about
 * the upstream.
 */
function isCacheable(fault: Fault): boolean {
  const { kind } = fault.detail;
  if (kind === "upstream-rate-limited" || kind === "overloaded") return false;
  return kind === "not-found" || isUpstreamFault(fault);
}
