import type { Fault } from "../../oci/fault.ts";
import { type Question, ServerErrors } from "./server-errors.ts";

/** The first and the longest cool-down, in milliseconds. */
const FIRST_COOL_DOWN = 5000;
const MAX_COOL_DOWN = 60_000;
/** Consecutive failures that open the circuit. A single one may be a broken connection. */
const FAILURE_THRESHOLD = 3;
/** How long it takes at least until it is known what came of a probe, in milliseconds. */
const PROBE_MS = 500;
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
  /** Called when a request is refused or answered without the host, because it fails. Must not throw. */
  readonly onWanted?: () => void;
  /** See `CircuitBreaker.verdict`. */
  readonly verdict?: () => Promise<void> | undefined;
}

export interface Failure {
  readonly fault: Fault;
  /** In milliseconds of the epoch. */
  readonly at: number;
}

/**
 * A circuit breaker for one host. The host is unhealthy from a request without a response (unreachable,
 * reset, timeout) until its next response, or until a cool-down is over: cached content is then served
 * without a request. After three consecutive ones the circuit opens, and requests for content that is not
 * cached fail at once, too.
 *
 * A 5xx is a response: it says that one endpoint fails for one repository, and nothing of the others. The
 * circuit opens only if different endpoints of different repositories return nothing else.
 */
export class CircuitBreaker {
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #date: () => number;
  readonly #onWanted: () => void;
  readonly #verdict: () => Promise<void> | undefined;
  readonly #serverErrors = new ServerErrors();
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
  #unanswered: Failure | undefined;

  constructor(options: CircuitBreakerOptions = {}) {
    this.#now = options.now ?? (() => performance.now());
    this.#random = options.random ?? Math.random;
    this.#date = options.date ?? Date.now;
    this.#onWanted = options.onWanted ?? (() => {});
    this.#verdict = options.verdict ?? (() => undefined);
  }

  /** Records a response that is no server error: the circuit closes. */
  succeeded(): void {
    // Responses to requests from before the ejection do not end it.
    if (this.#isEjected) return;
    this.#serverErrors.clear();
    this.#unanswered = undefined;
    this.#responded();
  }

  /** Records the status of a probe's response: any is an answer, unless it was server errors that opened. */
  probed(status: number): void {
    const unanswered = this.#unanswered;
    if (status < 500) this.succeeded();
    else if (!this.#serverErrors.areEverywhere && !this.#isEjected) this.#responded();
    // That it answers a ping says nothing of an endpoint that hangs.
    if (unanswered?.fault.detail.kind === "upstream-timeout") this.#unanswered = unanswered;
  }

  /** Whether a probe's answer would close the circuit. Broken bodies and wrong bytes are not probed. */
  get isProbeUseful(): boolean {
    if (this.#isEjected || this.#brokenBodies >= FAILURE_THRESHOLD) return false;
    return this.#fault !== undefined;
  }

  #responded(): void {
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
    const isNew = !this.#isEjected;
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
        this.#onWanted();
        return this.#fault;
      case "open":
        this.#onWanted();
        if (this.#now() < this.#unhealthyUntil) return this.#fault;
        this.#isProbing = true;
        return undefined;
    }
  }

  /** Resolves when the first probe since the host began to fail has ended; `undefined` at other times. */
  get verdict(): Promise<void> | undefined {
    return this.#verdict();
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

  /** For how many milliseconds no request is admitted, or only the one that probes. */
  get coolDownLeft(): number {
    if (this.state === "closed") return 0;
    const left = this.#unhealthyUntil - this.#now();
    return this.#isProbing ? Math.max(left, PROBE_MS) : Math.max(left, 0);
  }

  /**
   * Records that a request failed. A response that something is missing, private or not supported counts
   * as a success. Faults that do not depend on the host's state (a refused address, a full disk here)
   * change nothing.
   *
   * @param question what a 5xx is about; without it, one counts as any other response
   */
  failed(fault: Fault, question?: Question): void {
    this.#recordOutcome(fault, question);
    if (!isUnusable(fault)) return;
    this.#lastFailure = { fault, at: this.#date() };
    this.#unanswered = this.#lastFailure;
  }

  #recordOutcome(fault: Fault, question?: Question): void {
    this.#isProbing = false;
    if (isServerError(fault)) {
      if (question) this.#serverErrors.add(question);
      if (this.#isEjected) return;
      if (!this.#serverErrors.areEverywhere) {
        this.#responded();
        return;
      }
      this.#failures = FAILURE_THRESHOLD - 1;
    } else if (isResponse(fault)) {
      this.succeeded();
    }
    if (!indicatesFailure(fault)) return;
    this.#record(fault);
    this.#failures = Math.min(this.#failures + 1, 1000);
    this.#startCoolDown();
    this.#onWanted();
  }

  get #isEjected(): boolean {
    return this.#now() < this.#ejectedUntil;
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
    if (this.#now() >= this.#unhealthyUntil) return false;
    this.#onWanted();
    return true;
  }

  /** The last failure since the last response, for messages. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** When it began to fail, in milliseconds of the epoch; `undefined` while it works. */
  get since(): number | undefined {
    return this.#since;
  }

  /** The failure of the last request, whatever it means for the host; `undefined` if it was answered. */
  get unanswered(): Failure | undefined {
    return this.#unanswered;
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
    detail.kind === "upstream-failed" ||
    detail.kind === "invalid-range"
  );
}

function isServerError({ detail }: Fault): boolean {
  return detail.kind === "upstream-failed" && detail.status >= 500;
}

/** Whether the client got nothing from the host: neither content nor that it is missing or private. */
function isUnusable({ detail }: Fault): boolean {
  return (
    detail.kind === "upstream-failed" ||
    detail.kind === "upstream-unreachable" ||
    detail.kind === "upstream-timeout" ||
    detail.kind === "upstream-invalid-response" ||
    detail.kind === "address-refused"
  );
}

function indicatesFailure(fault: Fault): boolean {
  const { kind } = fault.detail;
  return kind === "upstream-unreachable" || kind === "upstream-timeout" || isServerError(fault);
}
