import type { Fault } from "../../oci/fault.ts";
import { isTooSlow } from "./transient.ts";

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
/**
 * After a transfer that brought this many bytes, the next one begins without a pause. One that broke
 * sooner made progress as well, but an upstream that cuts every byte must not be asked in a tight loop.
 */
const AMPLE_BYTES = 64 * 1024;

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
  /** Of the current transfer, and of those before it. */
  #heldBack: () => number = () => 0;
  #heldBackBefore = 0;
  #lastByteAt: number;
  /** Failures since the last byte. */
  #failures = 0;
  /** Bytes since the last failure. */
  #bytes = 0;
  /** Whether the last transfer brought few bytes, and the next one began without a pause. */
  #wasSpared = false;

  constructor({ limits, now = () => performance.now(), random = Math.random }: BackOffOptions) {
    this.#limits = { ...BACK_OFF, ...limits };
    this.#now = now;
    this.#random = random;
    this.#startedAt = now();
    this.#lastByteAt = this.#startedAt;
  }

  /**
   * A transfer begins. The time for which this machine keeps it from receiving does not count: its source is
   * not to blame for that.
   *
   * @param heldBack milliseconds so far
   */
  begin(heldBack: () => number = () => 0): void {
    this.#heldBackBefore += this.#heldBack();
    this.#heldBack = heldBack;
  }

  /** Resets the back-off, unless the transfer turns out to be too slow: new bytes have arrived. */
  progressed(bytes: number): void {
    this.#bytes += bytes;
    this.#lastByteAt = this.#elapsed();
  }

  /**
   * The pause before the next attempt in milliseconds, or `undefined` to give up. There is none after a
   * transfer that brought bytes: progress is health, unless it was too slow. The jitter keeps downloads that broke at the same
   * moment from retrying at the same moment.
   */
  pause(fault: Fault): number | undefined {
    const now = this.#elapsed();
    const remaining = Math.min(
      this.#lastByteAt + this.#limits.idle - now,
      this.#startedAt + this.#limits.total - now,
    );
    const bytes = isTooSlow(fault) ? 0 : this.#bytes;
    const isAmple = bytes >= AMPLE_BYTES;
    const isSpared = isAmple || (bytes > 0 && !this.#wasSpared);
    this.#wasSpared = isSpared && !isAmple;
    this.#bytes = 0;
    if (bytes > 0) this.#failures = 0;
    const longest = isSpared ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    if (!isSpared) this.#failures = Math.min(this.#failures + 1, 16);
    const { detail } = fault;
    const retryAfter = detail.kind === "upstream-rate-limited" ? detail.retryAfter * 1000 : 0;
    const pause = retryAfter + this.#random() * longest;
    return pause < remaining ? pause : undefined;
  }
  #elapsed(): number {
    return this.#now() - this.#heldBackBefore - this.#heldBack();
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
