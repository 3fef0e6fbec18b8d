import { Fault } from "../../oci/fault.ts";
import { QUIRKS } from "../quirks.ts";

/** A registry cannot silence itself for longer than this, whatever Retry-After it sends; in milliseconds. */
const LONGEST_WAIT = 3_600_000;
/** How long what can do without an answer waits after a first 429, and at most, in milliseconds. */
const FIRST_REST = 10_000;
const LONGEST_REST = 60_000;
/** For one question to find out whether a limit is over, in milliseconds. */
const TRIAL = 5000;
/** Below this part of the limit, what is left is kept for new content. */
const RESERVE = 0.1;
const LEAST_RESERVE = 5;
/** Without a window in the header, in seconds. */
const WINDOW = 3600;

/** What is limited apart. */
export type LimitKind = "blob" | "metadata";

/** How many requests a registry still allows, as its `ratelimit-…` headers told. */
export interface Budget {
  readonly remaining: number;
  readonly limit?: number;
  /** What the numbers are for, in seconds. */
  readonly window: number;
}

export interface RateLimitsOptions {
  readonly upstream: string;
  /** Milliseconds on any clock that only goes forward. */
  readonly now?: () => number;
}

interface Account {
  /** On the clock of `now`. */
  readonly until: Map<LimitKind, number>;
  /** 429s in a row, those of questions that were under way together counted as one. */
  inRow: number;
  restsUntil: number;
  triedUntil: number;
  budget?: Budget;
  budgetEnds: number;
}

/** How often one host may be asked, apart for each of the credentials that it is asked with. */
export class RateLimits {
  readonly #upstream: string;
  readonly #now: () => number;
  readonly #accounts = new Map<string, Account>();

  constructor({ upstream, now = () => performance.now() }: RateLimitsOptions) {
    this.#upstream = upstream;
    this.#now = now;
  }

  /** Records the budget that a response's headers report: see `QUIRKS.rateLimitHeaders`. */
  readHeaders(who: string, headers: Headers): void {
    const left = parse(headers.get(QUIRKS.rateLimitHeaders.remaining));
    if (!left) return;
    const limit = parse(headers.get(QUIRKS.rateLimitHeaders.limit))?.count;
    const account = this.#account(who);
    const { count: remaining, window } = left;
    account.budget = { remaining, window, ...(limit === undefined ? {} : { limit }) };
    account.budgetEnds = this.#now() + left.window * 1000;
  }

  /**
   * A 429 came. Who limits manifests may give blobs all the same (Docker Hub), and the other way
   * round: mostly another host gives those.
   */
  limited(who: string, kind: LimitKind, retryAfter: number): void {
    const account = this.#account(who);
    const until = this.#now() + Math.min(retryAfter * 1000, LONGEST_WAIT);
    const now = this.#now();
    account.until.set(kind, Math.max(account.until.get(kind) ?? 0, until));
    if (kind === "blob") return;
    if (now >= account.restsUntil || account.inRow === 0) account.inRow += 1;
    const rest = Math.min(FIRST_REST * 2 ** (account.inRow - 1), LONGEST_REST);
    account.restsUntil = Math.max(account.restsUntil, until, now + rest);
  }

  /** Why it is not asked now, with the time that is left. */
  fault(who: string, kind: LimitKind): Fault | undefined {
    const left = (this.#accounts.get(who)?.until.get(kind) ?? 0) - this.#now();
    if (left <= 0) return undefined;
    const retryAfter = Math.ceil(left / 1000);
    return new Fault({ kind: "upstream-rate-limited", upstream: this.#upstream, retryAfter });
  }

  /** It answered with something else than a 429. */
  passed(who: string): void {
    const account = this.#accounts.get(who);
    if (!account) return;
    account.inRow = 0;
    account.restsUntil = 0;
    account.triedUntil = 0;
  }

  /**
   * Whether who can do without an answer should. That a limit's time is over does not say that the
   * limit is: of all who ask then, the first is told no and finds out.
   */
  shouldBackOff(who: string): boolean {
    const account = this.#accounts.get(who);
    if (this.fault(who, "metadata")) return true;
    if (!account || account.inRow === 0) return false;
    const now = this.#now();
    if (now < account.restsUntil || now < account.triedUntil) return true;
    account.triedUntil = now + TRIAL;
    return false;
  }

  budget(who: string): Budget | undefined {
    const account = this.#accounts.get(who);
    return account && this.#now() < account.budgetEnds ? account.budget : undefined;
  }

  /** Whether what is left should be kept for content that is not here yet. */
  isLow(who: string): boolean {
    const budget = this.budget(who);
    if (!budget) return false;
    return budget.remaining <= Math.max((budget.limit ?? 0) * RESERVE, LEAST_RESERVE);
  }

  #account(who: string): Account {
    let account = this.#accounts.get(who);
    if (!account) {
      account = { until: new Map(), inRow: 0, restsUntil: 0, triedUntil: 0, budgetEnds: 0 };
      this.#accounts.set(who, account);
      // Credentials that were rotated away have nothing left to tell.
      const [oldest] = this.#accounts.keys();
      if (oldest !== undefined && this.#accounts.size > 8) this.#accounts.delete(oldest);
    }
    return account;
  }
}

/** `100;w=21600`: a count, and the window that it is for in seconds. */
function parse(header: string | null): { count: number; window: number } | undefined {
  const [, count, window] = /^\s*(\d{1,9})\s*(?:;\s*w=(\d{1,9}))?/.exec(header ?? "") ?? [];
  if (count === undefined) return undefined;
  return { count: Number(count), window: window === undefined ? WINDOW : Number(window) };
}
