import { TurnLimiter } from "../../event-loop/turn-limiter.ts";
import { Fault } from "../../oci/fault.ts";

/**
 * What a request is for. Each kind has its own limits, so that large transfers never block small requests,
 * and an endpoint for lists that hangs never blocks manifests.
 */
export type PermitKind = "blob" | "metadata" | "list" | "token";

export interface ConcurrencyLimits {
  /** Concurrent requests in the whole process. */
  readonly total: number;
  /** Concurrent requests to one upstream, of which it gets fewer while few permits are left for others. */
  readonly perUpstream: number;
}

/**
 * An upstream may hold so many times as many permits as are free: three quarters of all if it is the only one, and
 * three quarters of the rest beside one that holds as many. So a few that hang leave some for the others (dynamic
 * thresholds, Choudhury and Hahne 1998).
 */
const SHARE_OF_FREE = 3;

/**
 * What an upstream gets even if others hold all permits. However many of them hang, one that is well is asked, and
 * no kind exceeds its total by more than this for each upstream.
 */
const GUARANTEED = 2;

/**
 * Together, and with what is guaranteed, they stay below the limit of concurrent fetches, past which a fetch waits
 * for ever (`runtimeOptions`). Blobs stay well below it: each download takes memory.
 */
export const DEFAULT_LIMITS: Readonly<Record<PermitKind, ConcurrencyLimits>> = {
  blob: { total: 96, perUpstream: 96 },
  metadata: { total: 48, perUpstream: 32 },
  list: { total: 32, perUpstream: 16 },
  token: { total: 24, perUpstream: 16 },
};

/**
 * Requests that begin in one turn of the event loop. Without this limit, each response that ends would
 * let the next request begin, whose response may then arrive in the same turn, and so on.
 */
const REQUESTS_PER_TURN = 4;

/** Requests beyond this many that wait for one upstream fail at once: they would not get a permit in time. */
const MAX_WAITING = 4096;

export interface ConcurrencyLimiterOptions {
  readonly limits?: Partial<Record<PermitKind, ConcurrencyLimits>>;
  /** The longest wait for a permit, in milliseconds. */
  readonly timeout?: number;
}

interface AcquireOptions {
  readonly perUpstream?: number;
  readonly timeout?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Releases a permit. Calling it again does nothing. */
export type ReleasePermit = () => void;

interface Waiter {
  readonly upstream: string;
  readonly perUpstream: number;
  /** Counts up: who came first has the lower one. */
  readonly arrival: number;
  readonly grant: () => void;
}

/**
 * Limits the number of concurrent requests, in the process and to each upstream, with one counting
 * semaphore for each kind. Waiting requests get their permits first in, first out.
 */
export class ConcurrencyLimiter {
  readonly #semaphores: Readonly<Record<PermitKind, Semaphore>>;
  readonly #turns = new TurnLimiter(REQUESTS_PER_TURN);

  constructor(options: ConcurrencyLimiterOptions = {}) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const timeout = options.timeout ?? 10_000;
    this.#semaphores = {
      blob: new Semaphore(limits.blob, timeout),
      metadata: new Semaphore(limits.metadata, timeout),
      list: new Semaphore(limits.list, timeout),
      token: new Semaphore(limits.token, timeout),
    };
  }

  /**
   * Waits for a permit.
   *
   * @param options.perUpstream the upstream's own limit, if it is lower than the kind's
   * @param options.timeout the longest wait, in milliseconds; by default, that of all requests
   * @throws Fault `overloaded` after the timeout; the signal's reason if the caller aborted
   */
  async acquire(
    kind: PermitKind,
    upstream: string,
    options: AcquireOptions = {},
  ): Promise<ReleasePermit> {
    const { signal } = options;
    const release = await this.#semaphores[kind].acquire(upstream, options);
    await this.#turns.begin();
    if (!signal?.aborted) return release;
    release();
    throw signal.reason;
  }

  /** Whether a request would get a permit at once, while no other one waits for it. */
  hasRoom(kind: PermitKind, upstream: string, perUpstream = Infinity): boolean {
    return this.#semaphores[kind].hasRoom(upstream, perUpstream);
  }

  /** Permits in use and requests waiting for one. */
  usage(kind: PermitKind): { readonly inUse: number; readonly waiting: number } {
    return this.#semaphores[kind].usage;
  }
}

class Semaphore {
  readonly #limits: ConcurrencyLimits;
  readonly #timeout: number;
  readonly #inUse = new Map<string, number>();
  /** In order of arrival, by upstream: a release must not look at all that wait for another one. */
  readonly #waiting = new Map<string, Set<Waiter>>();
  #waitingCount = 0;
  #arrivals = 0;
  #total = 0;

  constructor(limits: ConcurrencyLimits, timeout: number) {
    this.#limits = limits;
    this.#timeout = timeout;
  }

  get usage(): { readonly inUse: number; readonly waiting: number } {
    return { inUse: this.#total, waiting: this.#waitingCount };
  }

  hasRoom(upstream: string, perUpstream: number): boolean {
    return this.#waitingCount === 0 && this.#isAvailable(upstream, perUpstream);
  }

  async acquire(
    upstream: string,
    { perUpstream = Infinity, timeout = this.#timeout, signal }: AcquireOptions,
  ): Promise<ReleasePermit> {
    signal?.throwIfAborted();
    // A free permit has no earlier taker: `#grantWaiting` runs at every release.
    if (this.#isAvailable(upstream, perUpstream)) return this.#take(upstream);
    if ((this.#waiting.get(upstream)?.size ?? 0) >= MAX_WAITING)
      throw new Fault({ kind: "overloaded", upstream });
    const { promise, resolve, reject } = Promise.withResolvers<ReleasePermit>();
    this.#arrivals += 1;
    const arrival = this.#arrivals;
    const grant = (): void => resolve(this.#take(upstream));
    const waiter: Waiter = { upstream, perUpstream, arrival, grant };
    const giveUp = (reason: unknown): void => {
      this.#dequeue(waiter);
      reject(reason);
    };
    const onAbort = (): void => giveUp(signal?.reason);
    const timer = setTimeout(() => giveUp(new Fault({ kind: "overloaded", upstream })), timeout);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#enqueue(waiter);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #isAvailable(upstream: string, perUpstream: number): boolean {
    const inUse = this.#inUse.get(upstream) ?? 0;
    const share = Math.max(GUARANTEED, SHARE_OF_FREE * (this.#limits.total - this.#total));
    return inUse < Math.min(perUpstream, this.#limits.perUpstream, share);
  }

  #take(upstream: string): ReleasePermit {
    this.#total += 1;
    this.#inUse.set(upstream, (this.#inUse.get(upstream) ?? 0) + 1);
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.#total -= 1;
      const left = (this.#inUse.get(upstream) ?? 1) - 1;
      if (left > 0) this.#inUse.set(upstream, left);
      else this.#inUse.delete(upstream);
      this.#grantWaiting();
    };
  }

  /** Grants permits in order of arrival. Waiters for an upstream at its limit do not block the others. */
  #grantWaiting(): void {
    for (let next = this.#next(); next; next = this.#next()) {
      this.#dequeue(next);
      next.grant();
    }
  }

  /** The first waiter whose upstream has a permit left. */
  #next(): Waiter | undefined {
    let first: Waiter | undefined;
    for (const waiters of this.#waiting.values()) {
      const [waiter] = waiters;
      if (!waiter || !this.#isAvailable(waiter.upstream, waiter.perUpstream)) continue;
      if (!first || waiter.arrival < first.arrival) first = waiter;
    }
    return first;
  }

  #enqueue(waiter: Waiter): void {
    const waiters = this.#waiting.get(waiter.upstream) ?? new Set();
    this.#waiting.set(waiter.upstream, waiters.add(waiter));
    this.#waitingCount += 1;
  }

  #dequeue(waiter: Waiter): void {
    const waiters = this.#waiting.get(waiter.upstream);
    if (!waiters?.delete(waiter)) return;
    this.#waitingCount -= 1;
    if (waiters.size === 0) this.#waiting.delete(waiter.upstream);
  }
}
