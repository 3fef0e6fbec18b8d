import type { Fault } from "../../oci/fault.ts";

/** In milliseconds. */
const FIRST_COOL_DOWN = 5000;
const LONGEST_COOL_DOWN = 60_000;
/** Failures in a row after which nobody waits for it any more. One alone may be a broken connection. */
const OPENS_AFTER = 3;
/** How long a host is not asked after it was found to send something else than what was asked for. */
const CONDEMNED_FOR = 600_000;

/**
 * `closed`: it is asked. `open`: it is not, until its cool-down is over. `trying`: one request finds
 * out, and the others do not wait for it.
 */
export type CircuitState = "closed" | "open" | "trying";

export interface CircuitBreakerOptions {
  /** Milliseconds on any clock that only goes forward. */
  readonly now?: () => number;
  /** From 0 to 1. */
  readonly random?: () => number;
  /** Milliseconds of the epoch. */
  readonly date?: () => number;
}

/** A failure, and when it was, in milliseconds of the epoch. */
export interface Failure {
  readonly fault: Fault;
  readonly at: number;
}

/**
 * Whether a host is worth waiting for. It is ailing from a failure of the road or the server (out of
 * reach, too slow, 5xx) until it answers again, or until a cool-down has passed and somebody should
 * try: what is cached is then served without asking. After more failures the circuit opens, and what
 * is not cached fails at once, too.
 */
export class CircuitBreaker {
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #date: () => number;
  #failures = 0;
  /** Bodies in a row that broke. That their headers came says nothing against it. */
  #broken = 0;
  #coolDowns = 0;
  #until = 0;
  #condemnedUntil = 0;
  #isTrying = false;
  #fault: Fault | undefined;
  #since: number | undefined;
  #last: Failure | undefined;

  constructor(options: CircuitBreakerOptions = {}) {
    this.#now = options.now ?? (() => performance.now());
    this.#random = options.random ?? Math.random;
    this.#date = options.date ?? Date.now;
  }

  /** The upstream answered. */
  succeeded(): void {
    // Of who was found to lie, what was asked before proves nothing.
    if (this.#now() < this.#condemnedUntil) return;
    this.#failures = 0;
    this.#until = 0;
    this.#isTrying = false;
    this.#fault = undefined;
    this.#since = undefined;
    // It was tried because bodies broke: the next one that does will be enough.
    this.#broken = Math.min(this.#broken, OPENS_AFTER - 1);
    if (this.#broken === 0) this.#coolDowns = 0;
  }

  /** A large body came to its end. */
  bodyCompleted(): void {
    this.#broken = 0;
    this.succeeded();
  }

  /** A large body broke off after its headers had come. */
  bodyBroke(fault: Fault): void {
    if (!indicatesFailure(fault) && fault.detail.kind !== "upstream-invalid-response") return;
    this.#last = { fault, at: this.#date() };
    this.#broken = Math.min(this.#broken + 1, 1000);
    if (this.#broken < OPENS_AFTER) return;
    this.#took(fault);
    this.#coolDown();
  }

  /**
   * It sent something else than what was asked for, and others can be asked: it is not for long.
   *
   * @returns whether that was not known
   */
  eject(fault: Fault): boolean {
    const isNew = this.#now() >= this.#condemnedUntil;
    this.#took(fault);
    this.#isTrying = false;
    this.#failures = OPENS_AFTER;
    this.#until = this.#now() + CONDEMNED_FOR;
    this.#condemnedUntil = this.#until;
    return isNew;
  }

  /** Why it is not asked now. A request that is let through must end in `ok`, `failed` or `abandoned`. */
  admit(): Fault | undefined {
    switch (this.state) {
      case "closed":
        return undefined;
      case "trying":
        return this.#fault;
      case "open":
        if (this.#now() < this.#until) return this.#fault;
        this.#isTrying = true;
        return undefined;
    }
  }

  /** Whoever asked has gone before an answer came. */
  abandoned(): void {
    this.#isTrying = false;
  }

  get state(): CircuitState {
    if (this.#failures < OPENS_AFTER && this.#broken < OPENS_AFTER) return "closed";
    return this.#isTrying ? "trying" : "open";
  }

  /**
   * A request failed. To say that something is missing or private is to answer; faults that are not
   * the upstream's state (an address that is refused, no room here) change nothing.
   */
  failed(fault: Fault): void {
    this.#isTrying = false;
    if (isAnswer(fault)) this.succeeded();
    if (!indicatesFailure(fault)) return;
    this.#took(fault);
    this.#failures = Math.min(this.#failures + 1, 1000);
    this.#coolDown();
  }

  #took(fault: Fault): void {
    const at = this.#date();
    this.#fault = fault;
    this.#last = { fault, at };
    this.#since ??= at;
  }

  #coolDown(): void {
    const now = this.#now();
    // Requests that were under way together fail together: that makes the wait no longer.
    if (now < this.#until) return;
    const longest = Math.min(FIRST_COOL_DOWN * 2 ** this.#coolDowns, LONGEST_COOL_DOWN);
    this.#coolDowns = Math.min(this.#coolDowns + 1, 16);
    // Jitter keeps replicas from trying together. Half of the wait is kept: one near zero would
    // have the very next pull wait for an upstream that is known to hang.
    this.#until = now + longest * (0.5 + 0.5 * this.#random());
  }

  /** Whether to answer without it where that is possible. */
  isUnhealthy(): boolean {
    return this.#now() < this.#until;
  }

  /** The last failure since the upstream answered, for messages. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** Since when it fails, in milliseconds of the epoch. */
  get since(): number | undefined {
    return this.#since;
  }

  /** The last failure, whatever came after it. */
  get last(): Failure | undefined {
    return this.#last;
  }
}

function isAnswer({ detail }: Fault): boolean {
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
