import { LRUCache } from "lru-cache";
import { Fault, isUpstreamFault } from "../../oci/fault.ts";

/** In milliseconds. What is missing may be pushed at any moment; a failure may pass even sooner. */
const MISSING_FOR = 30_000;
const FAILED_FOR = 5000;
const MOST = 10_000;

/**
 * Answers that helped nobody: whoever asks the same again at once is told the same. Asked only for
 * what is not cached, so that nothing of it stands in the way of what is.
 */
export class NegativeCache {
  readonly #faults: LRUCache<string, Fault>;
  #forgotten = 0;

  /** @param now milliseconds on any clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#faults = new LRUCache({ max: MOST, perf: { now }, ttlResolution: 0 });
  }

  /** @throws Fault the one of a moment ago, or the work's own */
  async run<Value>(key: string, work: () => Promise<Value>): Promise<Value> {
    const known = this.#faults.get(key);
    if (known) throw known;
    const forgotten = this.#forgotten;
    try {
      return await work();
    } catch (error) {
      // What was asked before everything was forgotten is about how things were then.
      if (error instanceof Fault && forgotten === this.#forgotten) this.remember(key, error);
      throw error;
    }
  }

  /** What was told may be otherwise now. */
  forget(): void {
    this.#forgotten += 1;
    this.#faults.clear();
  }

  remember(key: string, fault: Fault): void {
    const ttl = fault.detail.kind === "not-found" ? MISSING_FOR : FAILED_FOR;
    if (isNegative(fault)) this.#faults.set(key, fault, { ttl });
  }
}

/** A limit has a time of its own, and that there was no room here says nothing of the upstream. */
function isNegative(fault: Fault): boolean {
  const { kind } = fault.detail;
  if (kind === "upstream-rate-limited" || kind === "overloaded") return false;
  return kind === "not-found" || isUpstreamFault(fault);
}
