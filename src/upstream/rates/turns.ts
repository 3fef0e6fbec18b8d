import type { RateClock } from "./rate-clock.ts";
import type { RateLimit } from "./rate-limit.ts";

/** What is handed on in one turn takes so many milliseconds at the rate, within these bounds in bytes. */
const TURN_MS = 20;
const [MIN_BYTES, MAX_BYTES] = [1024, 128 * 1024];

/** The transfers of one download. */
export interface Lane {
  /** In whose accounts it counts. */
  readonly limits: readonly RateLimit[];
  /** How much it has received, in the time of the queue. */
  tag: number;
  readonly transfers: Set<Turns>;
  /** In order of arrival. */
  readonly waiting: Set<Turns>;
}

export interface TurnsOptions extends Pick<RateClock, "now" | "after"> {
  readonly isBackground: () => boolean;
  /** It waits for its turn from now on. */
  readonly onWaiting: () => void;
  /** It does not any more, has given something back, or has ended. */
  readonly onChange: () => void;
}

/** The turns of one transfer: in each, it may hand on a part of what it receives. */
export class Turns {
  readonly #lane: Lane;
  readonly #options: TurnsOptions;
  /** What the current turn has taken from the accounts; absent without a turn. */
  #reserved: number | undefined;
  #given: (() => void) | undefined;
  #waitsSince: number | undefined;
  #waited = 0;

  /** See `DownloadRates.open`. */
  constructor(lane: Lane, options: TurnsOptions) {
    this.#lane = lane;
    this.#options = options;
    lane.transfers.add(this);
    for (const limit of lane.limits) limit.begin();
  }

  get isBackground(): boolean {
    return this.#options.isBackground();
  }

  /** How much it may hand on in one turn, in bytes. */
  get partBytes(): number {
    const rates = this.#lane.limits.map(({ inForce }) => inForce.rate ?? Infinity);
    const bytes = Math.floor((Math.min(...rates) * TURN_MS) / 1000);
    return Math.max(MIN_BYTES, Math.min(MAX_BYTES, bytes));
  }

  /** How long it has waited in all, in milliseconds. */
  get waited(): number {
    const since = this.#waitsSince;
    return this.#waited + (since === undefined ? 0 : this.#options.now() - since);
  }

  /**
   * Waits for the next turn; not at all if there is one that was not used yet.
   *
   * @param patience after which it resolves without a turn, in milliseconds
   * @throws the signal's reason if it is aborted
   */
  async next(signal: AbortSignal, patience = Infinity): Promise<void> {
    if (this.#reserved !== undefined || this.isUnlimited) return;
    if (!this.#lane.transfers.has(this)) return;
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#given = resolve;
    this.#waitsSince = this.#options.now();
    this.#lane.waiting.add(this);
    this.#options.onWaiting();
    if (this.#reserved !== undefined) return;
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const cancelTimer =
      patience === Infinity ? undefined : this.#options.after(patience, () => resolve());
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
      cancelTimer?.();
      this.#leave();
    }
  }

  /** It is its turn. For `DownloadRates`. */
  give(): void {
    this.#stopWaiting();
    this.#reserved = this.partBytes;
    this.#charge(this.#reserved);
    this.#given?.();
  }

  /** Counts what was received, in a turn or not. */
  received(bytes: number): void {
    for (const limit of this.#lane.limits) limit.received(bytes);
    const due = bytes - (this.#reserved ?? 0);
    this.#reserved = undefined;
    this.#charge(due);
    if (due < 0) this.#options.onChange();
  }

  /** Ends the transfer. Calling it again does nothing. */
  close(): void {
    if (!this.#lane.transfers.delete(this)) return;
    this.#stopWaiting();
    this.#charge(-(this.#reserved ?? 0));
    this.#reserved = undefined;
    for (const limit of this.#lane.limits) limit.end();
    this.#given?.();
    this.#options.onChange();
  }

  /** Whether there is no limit now, so that no turn is needed. */
  get isUnlimited(): boolean {
    return this.#lane.limits.every(({ inForce }) => inForce.rate === undefined);
  }

  #charge(bytes: number): void {
    this.#lane.tag += bytes;
    for (const limit of this.#lane.limits) limit.reserve(bytes);
  }

  #leave(): void {
    if (!this.#lane.waiting.has(this)) return;
    this.#stopWaiting();
    this.#options.onChange();
  }

  #stopWaiting(): void {
    this.#waited = this.waited;
    this.#waitsSince = undefined;
    this.#lane.waiting.delete(this);
  }
}
