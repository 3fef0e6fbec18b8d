import { LRUCache } from "lru-cache";
import { growingTo } from "../../process/growing-to.ts";
import { TurnLimiter } from "../../event-loop/turn-limiter.ts";
import { Fault, isUnsent, isUpstreamFault } from "../../oci/fault.ts";

/** The longest TTL of a failure in milliseconds: the content may be pushed at any moment. */
const MAX_TTL_MS = 5000;
const MAX_ENTRIES = 10_000;

/** Misses that begin in one turn of the event loop. All the steps of one take about a millisecond. */
const MISSES_PER_TURN = 4;

/**
 * For whom an upstream is asked: a client's GET or HEAD, which are two questions, since registries answer
 * them differently; or the cache itself, which always asks anew. What it judges images by (`judge`), such as
 * signatures, is what the registry says, whatever the policy of its tags.
 */
export type Asker = "GET" | "HEAD" | "cache" | "judge";

/** What was asked of an upstream. */
export interface NegativeKey {
  readonly asker: Asker;
  /** The repository and the reference. */
  readonly what: string;
  /** See `Registry.askedAs`: what is missing for one may be hidden from it. */
  readonly askedAs?: string | undefined;
}

/**
 * Negative cache: remembers for a short TTL that a request to an upstream failed, and lets the same
 * request fail again without asking the upstream. It is consulted only for what is not stored, so it
 * never hides stored content.
 */
export class NegativeCache {
  readonly #faults: LRUCache<string, Fault>;
  readonly #turns = new TurnLimiter(MISSES_PER_TURN);
  /** Number of calls of `clear`. */
  #generation = 0;

  /** @param now a monotonic clock, in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#faults = new LRUCache({ ...growingTo(MAX_ENTRIES), perf: { now }, ttlResolution: 0 });
  }

  /**
   * @param tagTtl for how long an answer about a name may be used, in milliseconds
   * @throws Fault the cached one, or that of `work`
   */
  async run<Value>(
    { asker, what, askedAs }: NegativeKey,
    tagTtl: number,
    work: () => Promise<Value>,
  ): Promise<Value> {
    if (asker === "cache" || asker === "judge") return work();
    const key = askedAs === undefined ? `${asker} ${what}` : `${asker} ${what} ${askedAs}`;
    const cached = this.#faults.get(key);
    if (cached) throw cached;
    const generation = this.#generation;
    await this.#turns.begin();
    try {
      return await work();
    } catch (error) {
      // A request from before `clear` was made with the old settings: its failure is not cached.
      const isCurrent = generation === this.#generation;
      if (error instanceof Fault && isCurrent) this.#add(key, error, tagTtl);
      throw error;
    }
  }

  /** Forgets all failures, those of requests that are still running included. */
  clear(): void {
    this.#generation += 1;
    this.#faults.clear();
  }

  #add(key: string, fault: Fault, tagTtl: number): void {
    // A timeout is no answer about a name, and asking again would take as long.
    const longest = fault.detail.kind === "upstream-timeout" ? MAX_TTL_MS : tagTtl;
    const ttl = Math.min(longest, MAX_TTL_MS);
    if (ttl > 0 && isCacheable(fault)) this.#faults.set(key, fault, { ttl });
  }
}

/**
 * Whether a fault is cached. A rate limit is not, since it names its own end (`Retry-After`); an
 * overload or another limit of this machine is not, since it says nothing about the upstream; an unreachable upstream is not, since its circuit breaker ends with its return.
 */
function isCacheable(fault: Fault): boolean {
  const { detail } = fault;
  const { kind } = detail;
  // What one client may not see says nothing of the others.
  if (kind === "upstream-denied" && detail.credentials === "client") return false;
  if (kind === "upstream-rate-limited" || kind === "upstream-unreachable") return false;
  if (isUnsent(fault)) return false;
  return kind === "not-found" || isUpstreamFault(fault);
}
