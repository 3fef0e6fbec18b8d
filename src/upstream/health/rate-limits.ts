import { LRUCache } from "lru-cache";
import { Fault } from "../../oci/fault.ts";
import { QUIRKS } from "../quirks.ts";
import { type Budget, RATE_LIMIT_KINDS, type RateLimitKind } from "./budget.ts";
import type { Rest } from "./rest.ts";
import type { Limited, PooledLimits } from "./pooled-limits.ts";

/** The longest Retry-After that is obeyed, in milliseconds: a registry cannot block itself for longer. */
const MAX_OBEYED_RETRY_AFTER = 3_600_000;
/** The first and the longest back-off of revalidations after a 429, in milliseconds. */
const FIRST_BACK_OFF = 10_000;
const MAX_BACK_OFF = 60_000;
/** How long one request probes whether a limit is over, in milliseconds. */
const PROBE_TIME = 5000;
/** At this part of the limit, or at this many requests, the budget is low. */
const LOW_BUDGET_RATIO = 0.1;
const LOW_BUDGET_MIN = 5;
/** The window of a header that states none, in seconds. */
const DEFAULT_WINDOW = 3600;
/**
 * Accounts to remember for a host. Rotated credentials leave old ones behind, and clients of this cache may send
 * their own.
 */
const MAX_ACCOUNTS = 1024;

/** The longest name of a source that is kept: an address, or an identifier. */
const MAX_SOURCE_LENGTH = 64;

export interface RateLimitsOptions {
  readonly upstream: string;
  /** The host's URL. */
  readonly host?: string;
  /** What other replicas know of them. */
  readonly pooled?: PooledLimits | undefined;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

/** All times are on the clock of `now`. */
interface AccountState {
  readonly blockedUntil: Map<RateLimitKind, number>;
  /** Consecutive 429s; those of concurrent requests count as one. */
  consecutive: number;
  backOffUntil: number;
  probingUntil: number;
  budget?: Budget;
  budgetExpiresAt: number;
  /** What the host counts requests by. */
  source?: string;
}

/**
 * One host's rate limits, separately for each account that requests are sent as. What other replicas of this
 * cache were told counts as well.
 */
export class RateLimits {
  readonly #upstream: string;
  readonly #host: string;
  readonly #pooled: PooledLimits | undefined;
  readonly #now: () => number;
  readonly #accounts = new LRUCache<string, AccountState>({ max: MAX_ACCOUNTS });

  constructor(options: RateLimitsOptions) {
    const { upstream, host = upstream, pooled, now = () => performance.now() } = options;
    this.#upstream = upstream;
    this.#host = host;
    this.#pooled = pooled;
    this.#now = now;
  }

  /** Records the budget that a response's headers report: see `QUIRKS.rateLimitHeaders`. */
  readHeaders(account: string, headers: Headers): void {
    const remaining = parse(headers.get(QUIRKS.rateLimitHeaders.remaining));
    if (!remaining) return;
    const limit = parse(headers.get(QUIRKS.rateLimitHeaders.limit))?.count;
    const state = this.#stateOf(account);
    const { count, window } = remaining;
    state.budget = { remaining: count, window, ...(limit === undefined ? {} : { limit }) };
    state.budgetExpiresAt = this.#now() + window * 1000;
    const source = headers.get(QUIRKS.rateLimitHeaders.source)?.slice(0, MAX_SOURCE_LENGTH);
    if (source !== undefined) state.source = source;
    this.#pooled?.counted(this.#limited(account), state.budget);
  }

  /**
   * Records a 429. It blocks requests of its kind alone: a registry that limits manifests may still serve
   * blobs (Docker Hub), and the reverse.
   *
   * @param retryAfter in seconds
   */
  rateLimited(account: string, kind: RateLimitKind, retryAfter: number): void {
    const state = this.#stateOf(account);
    const now = this.#now();
    const rest = Math.min(retryAfter * 1000, MAX_OBEYED_RETRY_AFTER);
    const until = now + rest;
    this.#pooled?.rested(this.#limited(account), kind, rest);
    state.blockedUntil.set(kind, Math.max(state.blockedUntil.get(kind) ?? 0, until));
    if (kind !== "metadata") return;
    if (now >= state.backOffUntil || state.consecutive === 0) state.consecutive += 1;
    const backOff = Math.min(FIRST_BACK_OFF * 2 ** (state.consecutive - 1), MAX_BACK_OFF);
    state.backOffUntil = Math.max(state.backOffUntil, until, now + backOff);
  }

  /** Why no request is sent now, with the time left; `undefined` if one may be. */
  fault(account: string, kind: RateLimitKind): Fault | undefined {
    const left = this.#restLeft(account, kind);
    if (left <= 0) return undefined;
    const retryAfter = Math.ceil(left / 1000);
    return new Fault({ kind: "upstream-rate-limited", upstream: this.#upstream, retryAfter });
  }

  /** Records a response to a metadata request other than a 429: the limit is over. */
  succeeded(account: string): void {
    const state = this.#accounts.get(account);
    if (!state) return;
    state.consecutive = 0;
    state.backOffUntil = 0;
    state.probingUntil = 0;
  }

  /**
   * Whether a caller that can do without a response should send no request. That Retry-After has passed
   * does not mean that the limit is over: the first caller after the back-off gets `false` and probes,
   * and the others get `true` meanwhile.
   */
  shouldBackOff(account: string): boolean {
    const state = this.#accounts.get(account);
    if (this.fault(account, "metadata")) return true;
    if (!state || state.consecutive === 0) return false;
    const now = this.#now();
    if (now < state.backOffUntil || now < state.probingUntil) return true;
    state.probingUntil = now + PROBE_TIME;
    return false;
  }

  /** Whether it limits nothing at the moment, as far as is known. */
  isQuiet(account: string): boolean {
    const consecutive = this.#accounts.get(account)?.consecutive ?? 0;
    const rests = RATE_LIMIT_KINDS.some((kind) => this.#restLeft(account, kind) > 0);
    return consecutive === 0 && !rests && !this.isBudgetLow(account);
  }

  /**
   * Why no request should be sent that nobody waits for, and for how long, in milliseconds. Unlike
   * `shouldBackOff`, it admits no probe.
   */
  rest(account: string): Rest | undefined {
    const state = this.#accounts.get(account);
    const now = this.#now();
    const limited = Math.max(
      (state?.backOffUntil ?? 0) - now,
      ...RATE_LIMIT_KINDS.map((kind) => this.#restLeft(account, kind)),
    );
    if (limited > 0) return { reason: "limited", left: limited };
    const budget = this.budget(account);
    if (!budget || !this.isBudgetLow(account)) return undefined;
    const left = Math.max(0, (state?.budgetExpiresAt ?? now + budget.window * 1000) - now);
    return { reason: "budget", left, budget };
  }

  /** The remaining budget, until the window that it was reported for is over. */
  budget(account: string): Budget | undefined {
    const state = this.#accounts.get(account);
    const own = state && this.#now() < state.budgetExpiresAt ? state.budget : undefined;
    const pooled = this.#pooled?.budget(this.#limited(account));
    if (!own || !pooled) return own ?? pooled;
    return pooled.remaining < own.remaining ? { ...own, remaining: pooled.remaining } : own;
  }

  /** When the window of the budget is over, in milliseconds from now; of one that others were told, at the latest. */
  budgetResetsIn(account: string): number | undefined {
    const budget = this.budget(account);
    if (!budget) return undefined;
    const left = (this.#accounts.get(account)?.budgetExpiresAt ?? 0) - this.#now();
    return left > 0 ? left : budget.window * 1000;
  }

  /** Whether the rest of the budget should be reserved for content that is not cached yet. */
  isBudgetLow(account: string): boolean {
    const budget = this.budget(account);
    if (!budget) return false;
    const threshold = Math.max((budget.limit ?? 0) * LOW_BUDGET_RATIO, LOW_BUDGET_MIN);
    return budget.remaining <= threshold;
  }

  /** In milliseconds. */
  #restLeft(account: string, kind: RateLimitKind): number {
    const own = (this.#accounts.get(account)?.blockedUntil.get(kind) ?? 0) - this.#now();
    return Math.max(own, this.#pooled?.restLeft(this.#limited(account), kind) ?? 0);
  }

  #limited(account: string): Limited {
    const source = this.#accounts.get(account)?.source;
    return { upstream: this.#upstream, host: this.#host, account, source };
  }

  #stateOf(account: string): AccountState {
    let state = this.#accounts.get(account);
    if (!state) {
      state = {
        blockedUntil: new Map(),
        consecutive: 0,
        backOffUntil: 0,
        probingUntil: 0,
        budgetExpiresAt: 0,
      };
      this.#accounts.set(account, state);
    }
    return state;
  }
}

/** `100;w=21600`: a count, and its window in seconds. */
function parse(header: string | null): { count: number; window: number } | undefined {
  const [, count, window] = /^\s*(\d{1,9})\s*(?:;\s*w=(\d{1,9}))?/.exec(header ?? "") ?? [];
  if (count === undefined) return undefined;
  return { count: Number(count), window: window === undefined ? DEFAULT_WINDOW : Number(window) };
}
