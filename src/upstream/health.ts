import type { Fault } from "../oci/fault.ts";

/** In milliseconds. */
const FIRST_COOL_DOWN = 5000;
const LONGEST_COOL_DOWN = 60_000;
/** A registry cannot silence itself for longer than this, whatever Retry-After it sends. */
const LONGEST_RETRY_AFTER = 3_600_000;

export interface HealthOptions {
  /** Milliseconds on any clock that only goes forward. */
  readonly now?: () => number;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/**
 * Whether an upstream is worth waiting for. It is ailing from a failure of the road or the server
 * (out of reach, too slow, 5xx) until it answers again, or until a cool-down has passed and somebody
 * should try; from a 429 for as long as its Retry-After says, since blobs come all the same while
 * manifests are limited.
 */
export class Health {
  readonly #now: () => number;
  readonly #random: () => number;
  #failures = 0;
  #until = 0;
  #limitedUntil = 0;
  #fault: Fault | undefined;

  constructor(options: HealthOptions = {}) {
    this.#now = options.now ?? (() => performance.now());
    this.#random = options.random ?? Math.random;
  }

  /** The upstream answered. */
  ok(): void {
    this.#failures = 0;
    this.#until = 0;
    this.#fault = undefined;
  }

  /**
   * A request failed. To say that something is missing or private is to answer; faults that are not
   * the upstream's state (an address that is refused, no room here) change nothing.
   */
  failed(fault: Fault): void {
    if (isAnswer(fault)) this.ok();
    if (!isAilment(fault)) return;
    this.#fault = fault;
    const now = this.#now();
    if (fault.detail.kind === "upstream-limited") {
      const wait = Math.min(fault.detail.retryAfter * 1000, LONGEST_RETRY_AFTER);
      this.#limitedUntil = Math.max(this.#limitedUntil, now + wait);
      return;
    }
    // Requests that were under way together fail together: that is one failure, not many.
    if (now < this.#until) return;
    const longest = Math.min(FIRST_COOL_DOWN * 2 ** this.#failures, LONGEST_COOL_DOWN);
    this.#failures = Math.min(this.#failures + 1, 16);
    // Jitter keeps replicas from trying together. Half of the wait is kept: one near zero would
    // have the very next pull wait for an upstream that is known to hang.
    this.#until = now + longest * (0.5 + 0.5 * this.#random());
  }

  /** Whether to answer without it where that is possible. */
  ailing(): boolean {
    return this.#now() < Math.max(this.#until, this.#limitedUntil);
  }

  /** The last failure since the upstream answered, for messages. */
  get fault(): Fault | undefined {
    return this.#fault;
  }
}

function isAnswer({ detail }: Fault): boolean {
  return (
    detail.kind === "unknown" ||
    detail.kind === "upstream-denied" ||
    detail.kind === "invalid-range"
  );
}

function isAilment({ detail }: Fault): boolean {
  return (
    detail.kind === "upstream-unreachable" ||
    detail.kind === "upstream-timeout" ||
    detail.kind === "upstream-limited" ||
    (detail.kind === "upstream-failed" && detail.status >= 500)
  );
}
