import type { Fault } from "../../oci/fault.ts";

/** In milliseconds. */
export interface BackOffLimits {
  /** Without a new byte for this long, the download is given up: nodes give up a stalled pull after a minute. */
  readonly idle: number;
  /** For the whole download, pauses included, so that a source that only drips cannot keep it alive for ever. */
  readonly total: number;
}

export const BACK_OFF: BackOffLimits = { idle: 60_000, total: 6 * 3_600_000 };

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;

export interface BackOffOptions {
  readonly limits?: Partial<BackOffLimits>;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/** Exponential back-off with full jitter for one download: when to retry, and when to give up. */
export class BackOff {
  readonly #limits: BackOffLimits;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #startedAt: number;
  #lastByteAt: number;
  /** Failures since the last byte. */
  #failures = 0;

  constructor({ limits, now = () => performance.now(), random = Math.random }: BackOffOptions) {
    this.#limits = { ...BACK_OFF, ...limits };
    this.#now = now;
    this.#random = random;
    this.#startedAt = now();
    this.#lastByteAt = this.#startedAt;
  }

  /** Resets the back-off: new bytes have arrived. */
  progressed(): void {
    this.#failures = 0;
    this.#lastByteAt = this.#now();
  }

  /**
   * The pause before the next attempt in milliseconds, or `undefined` to give up. The jitter keeps
   * downloads that broke at the same moment from retrying at the same moment.
   */
  pause(fault: Fault): number | undefined {
    const now = this.#now();
    const remaining = Math.min(
      this.#lastByteAt + this.#limits.idle - now,
      this.#startedAt + this.#limits.total - now,
    );
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    const { detail } = fault;
    const retryAfter = detail.kind === "upstream-rate-limited" ? detail.retryAfter * 1000 : 0;
    const pause = retryAfter + this.#random() * longest;
    return pause < remaining ? pause : undefined;
  }
}

/**
 * Waits until a download that failed may be retried.
 *
 * @throws the fault, if the download is to be given up; the signal's reason, if it is aborted
 */
export async function waitBeforeRetry(
  backOff: BackOff,
  fault: Fault,
  signal: AbortSignal,
): Promise<void> {
  const pause = backOff.pause(fault);
  if (pause === undefined) throw fault;
  await sleep(pause, signal);
}

/** Resolves after the given time; rejects with the signal's reason if it is aborted first. */
export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  });
}
