import type { Fault } from "../../oci/fault.ts";

/** The first and the longest cool-down, in milliseconds. */
const FIRST_COOL_DOWN = 5000;
const MAX_COOL_DOWN = 60_000;
/** Consecutive failures that open the circuit. A single one may be a broken connection. */
const FAILURE_THRESHOLD = 3;
/** How long a host gets no requests after it sent an invalid response, in milliseconds. */
const EJECTION_TIME = 600_000;

/**
 * `closed`: requests are sent. `open`: none are, until the cool-down is over. `half-open`: one request is
 * under way as a probe, and the others fail at once.
 */
export type CircuitState = "closed" | "open" | "half-open";

export interface CircuitBreakerOptions {
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
  /** Returns a number from 0 to 1. */
  readonly random?: () => number;
  /** The wall clock, in milliseconds of the epoch. */
  readonly date?: () => number;
}

export interface Failure {
  readonly fault: Fault;
  /** In milliseconds of the epoch. */
  readonly at: number;
}

/**
 * A circuit breaker for one host. The host is unhealthy from a failure of the network or the server
 * (unreachable, timeout, 5xx) until its next response, or until a cool-down is over: cached content is
 * then served without a request. After three consecutive failures the circuit opens, and requests for
 * content that is not cached fail at once, too.
 */
export class CircuitBreaker {
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #date: () => number;
  #failures = 0;
  /** Consecutive bodies that broke. Response headers that arrived do not reset it. */
  #brokenBodies = 0;
  #coolDowns = 0;
  #unhealthyUntil = 0;
  #ejectedUntil = 0;
  #isProbing = false;
  #fault: Fault | undefined;
  #since: number | undefined;
  #lastFailure: Failure | undefined;

  constructor(options: CircuitBreakerOptions = {}) {
    this.#now = options.now ?? (() => performance.now());
    this.#random = options.random ?? Math.random;
    this.#date = options.date ?? Date.now;
  }

  /** Records a response: the circuit closes. */
  succeeded(): void {
    // Responses to requests from before the ejection do not end it.
    if (this.#now() < this.#ejectedUntil) return;
    this.#failures = 0;
    this.#unhealthyUntil = 0;
    this.#isProbing = false;
    this.#fault = undefined;
    this.#since = undefined;
    // If broken bodies opened the circuit, the next broken one opens it again.
    this.#brokenBodies = Math.min(this.#brokenBodies, FAILURE_THRESHOLD - 1);
    if (this.#brokenBodies === 0) this.#coolDowns = 0;
  }

  /** Records that a large body was received completely. */
  bodyCompleted(): void {
    this.#brokenBodies = 0;
    this.succeeded();
  }

  /** Records that a large body broke off after its headers. */
  bodyBroke(fault: Fault): void {
    if (!indicatesFailure(fault) && fault.detail.kind !== "upstream-invalid-response") return;
    this.#lastFailure = { fault, at: this.#date() };
    this.#brokenBodies = Math.min(this.#brokenBodies + 1, 1000);
    if (this.#brokenBodies < FAILURE_THRESHOLD) return;
    this.#record(fault);
    this.#startCoolDown();
  }

  /**
   * Ejects a host that sent an invalid response while others serve the same content (outlier ejection):
   * it gets no requests for ten minutes.
   *
   * @returns whether it was not ejected already
   */
  eject(fault: Fault): boolean {
    const isNew = this.#now() >= this.#ejectedUntil;
    this.#record(fault);
    this.#isProbing = false;
    this.#failures = FAILURE_THRESHOLD;
    this.#unhealthyUntil = this.#now() + EJECTION_TIME;
    this.#ejectedUntil = this.#unhealthyUntil;
    return isNew;
  }

  /**
   * Admits a request, or returns why it must not be sent. An admitted request must end in `succeeded`,
   * `failed` or `abandoned`.
   */
  admit(): Fault | undefined {
    switch (this.state) {
      case "closed":
        return undefined;
      case "half-open":
        return this.#fault;
      case "open":
        if (this.#now() < this.#unhealthyUntil) return this.#fault;
        this.#isProbing = true;
        return undefined;
    }
  }

  /** Records that the caller aborted a request before its response. */
  abandoned(): void {
    this.#isProbing = false;
  }

  get state(): CircuitState {
    if (this.#failures < FAILURE_THRESHOLD && this.#brokenBodies < FAILURE_THRESHOLD) {
      return "closed";
    }
    return this.#isProbing ? "half-open" : "open";
  }

  /**
   * Records that a request failed. A response that something is missing or private counts as a success.
   * Faults that do not depend on the host's state (a refused address, a full disk here) change nothing.
   */
  failed(fault: Fault): void {
    this.#isProbing = false;
    if (isResponse(fault)) this.succeeded();
    if (!indicatesFailure(fault)) return;
    this.#record(fault);
    this.#failures = Math.min(this.#failures + 1, 1000);
    this.#startCoolDown();
  }

  #record(fault: Fault): void {
    const at = this.#date();
    this.#fault = fault;
    this.#lastFailure = { fault, at };
    this.#since ??= at;
  }

  #startCoolDown(): void {
    const now = this.#now();
    // Concurrent requests fail together: that does not lengthen the cool-down.
    if (now < this.#unhealthyUntil) return;
    const longest = Math.min(FIRST_COOL_DOWN * 2 ** this.#coolDowns, MAX_COOL_DOWN);
    this.#coolDowns = Math.min(this.#coolDowns + 1, 16);
    // Jitter keeps replicas from probing at the same time. It takes at most half of the cool-down: with
    // one near zero, the very next pull would wait for an upstream that is known to hang.
    this.#unhealthyUntil = now + longest * (0.5 + 0.5 * this.#random());
  }

  /** Whether cached content should be served without a request. */
  isUnhealthy(): boolean {
    return this.#now() < this.#unhealthyUntil;
  }

  /** The last failure since the last response, for messages. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** When it began to fail, in milliseconds of the epoch; `undefined` while it works. */
  get since(): number | undefined {
    return this.#since;
  }

  /** The last failure ever, even if there were responses after it. */
  get lastFailure(): Failure | undefined {
    return this.#lastFailure;
  }
}

function isResponse({ detail }: Fault): boolean {
  return (
    detail.kind === "not-found" ||
    detail.kind === "upstream-denied" ||
    detail.kind === "upstream-rate-limited" ||
    detail.kind === "invalid-range"
  );
}

function indicatesFailure({ detail }: Fault): boolean {
  return (
    detail.kind === "upstream-unreachable" ||
    detail.kind === "upstream-timeout" ||
    (detail.kind === "upstream-failed" && detail.status >= 500)
  );
}
