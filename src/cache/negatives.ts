import { LRUCache } from "lru-cache";
import { Fault, isUpstreamFault } from "../oci/fault.ts";

/** In milliseconds. What is missing may be pushed at any moment; a failure may pass even sooner. */
const MISSING_FOR = 30_000;
const FAILED_FOR = 5000;
const MOST = 10_000;

/**
 * Answers that helped nobody: whoever asks the same again at once is told the same. Asked only for
 * what is not cached, so that nothing of it stands in the way of what is.
 */
export class Negatives {
  readonly #faults: LRUCache<string, Fault>;

  /** @param now milliseconds on any clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#faults = new LRUCache({ max: MOST, perf: { now }, ttlResolution: 0 });
  }

  /** @throws Fault the one of a moment ago, or the work's own */
  async run<Value>(key: string, work: () => Promise<Value>): Promise<Value> {
    const known = this.#faults.get(key);
    if (known) throw known;
    try {
      return await work();
    } catch (error) {
      if (error instanceof Fault) this.remember(key, error);
      throw error;
    }
  }

  remember(key: string, fault: Fault): void {
    const ttl = fault.detail.kind === "unknown" ? MISSING_FOR : FAILED_FOR;
    if (isNegative(fault)) this.#faults.set(key, fault, { ttl });
  }
}

/** A limit has a time of its own, and that there was no room here says nothing of the upstream. */
function isNegative(fault: Fault): boolean {
  const { kind } = fault.detail;
  if (kind === "upstream-limited" || kind === "overloaded") return false;
  return kind === "unknown" || isUpstreamFault(fault);
}
