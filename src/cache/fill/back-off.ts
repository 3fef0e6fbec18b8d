import type { Fault } from "../../oci/fault.ts";

/** In milliseconds. */
export interface BackOffLimits {
  /** From the last byte that came to giving up. Nodes give up a pull that stands still for a minute. */
  readonly idle: number;
  /** For a download with all its pauses: one that drips for ever has to end, too. */
  readonly total: number;
}

export const BACK_OFF: BackOffLimits = { idle: 60_000, total: 6 * 3_600_000 };

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;

export interface BackOffOptions {
  readonly limits?: Partial<BackOffLimits>;
  /** Milliseconds on any clock that only goes forward. */
  readonly now?: () => number;
  /** From 0 to 1. */
  readonly random?: () => number;
}

/** When a download that broke is tried again, and when no more. */
export class BackOff {
  readonly #limits: BackOffLimits;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #begun: number;
  #lastByte: number;
  #fruitless = 0;

  constructor({ limits, now = () => performance.now(), random = Math.random }: BackOffOptions) {
    this.#limits = { ...BACK_OFF, ...limits };
    this.#now = now;
    this.#random = random;
    this.#begun = now();
    this.#lastByte = this.#begun;
  }

  /** Bytes came. */
  progressed(): void {
    this.#fruitless = 0;
    this.#lastByte = this.#now();
  }

  /**
   * The pause before the next try in milliseconds; `undefined` where there is to be none. Full
   * jitter: many downloads that broke at once do not come back at once.
   */
  pause(fault: Fault): number | undefined {
    const now = this.#now();
    const left = Math.min(
      this.#lastByte + this.#limits.idle - now,
      this.#begun + this.#limits.total - now,
    );
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#fruitless);
    this.#fruitless = Math.min(this.#fruitless + 1, 16);
    const { detail } = fault;
    const told = detail.kind === "upstream-rate-limited" ? detail.retryAfter * 1000 : 0;
    const pause = told + this.#random() * longest;
    return pause < left ? pause : undefined;
  }
}

/**
 * Waits until a download that failed may be tried again.
 *
 * @throws the fault, where it is given up; the signal's reason
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

/** Resolves after the time; rejects with the signal's reason where that comes first. */
export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  const stopped = (): void => reject(signal.reason);
  signal.addEventListener("abort", stopped, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", stopped);
  });
}
