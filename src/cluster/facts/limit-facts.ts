import { createHmac } from "node:crypto";
import { LRUCache } from "lru-cache";
import { parseUpstreamName } from "../../oci/names.ts";
import { ANONYMOUS } from "../../upstream/auth/keyring.ts";
import type { Budget, RateLimitKind } from "../../upstream/health/budget.ts";
import type { Limited, PooledLimits } from "../../upstream/health/pooled-limits.ts";
import type { BudgetFact, LimitedAccount, RestFact } from "../ledger/facts.ts";
import type { Ledger } from "../ledger/ledger.ts";

/** How often a budget is told at most, in milliseconds. A rest that is this much longer than the last one is told. */
const TELL_MS = 1000;
/** Hosts, accounts and kinds of requests that are remembered. */
const MAX_ENTRIES = 1024;
/** The longest rest that is believed, in milliseconds: as of a Retry-After. */
const MAX_REST_MS = 3_600_000;
/** Hexadecimal digits of what stands for an account. */
const ACCOUNT_LENGTH = 32;

export interface LimitFactsOptions {
  readonly ledger: Pick<Ledger, "tell">;
  /** What all replicas know, and who reads the ledger does not. */
  readonly secret: string;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

interface HeardBudget {
  readonly budget: Budget;
  readonly until: number;
}

interface Telling {
  readonly at: number;
  readonly budget: Budget;
  /** Set while a further budget waits to be told. */
  readonly timer?: ReturnType<typeof setTimeout>;
}

/**
 * What replicas tell each other of rate limits. An account is named by a keyed hash, so that the ledger says
 * nothing of credentials. Requests without credentials are counted by where they come from: where a host says
 * from where that is, only replicas that come from there share its limits.
 */
export class LimitFacts implements PooledLimits {
  readonly #ledger: LimitFactsOptions["ledger"];
  readonly #secret: string;
  readonly #now: () => number;
  readonly #names = new LRUCache<string, string>({ max: MAX_ENTRIES });
  /** Until when there is a rest, as others were told, and as this replica has told. */
  readonly #rests = new LRUCache<string, number>({ max: MAX_ENTRIES });
  readonly #toldRests = new LRUCache<string, number>({ max: MAX_ENTRIES });
  readonly #budgets = new LRUCache<string, HeardBudget>({ max: MAX_ENTRIES });
  readonly #tellings = new LRUCache<string, Telling>({
    max: MAX_ENTRIES,
    dispose: ({ timer }, _, reason) => {
      if (reason !== "set") clearTimeout(timer);
    },
  });

  constructor({ ledger, secret, now = () => performance.now() }: LimitFactsOptions) {
    this.#ledger = ledger;
    this.#secret = secret;
    this.#now = now;
  }

  rested(limited: Limited, requests: RateLimitKind, leftMs: number): void {
    const at = this.#accountOf(limited);
    if (!at) return;
    const key = `${requests} ${keyOf(at)}`;
    const until = this.#now() + leftMs;
    // Of concurrent requests, each gets a 429.
    if (until < (this.#toldRests.get(key) ?? -Infinity) + TELL_MS) return;
    this.#toldRests.set(key, until);
    this.#ledger.tell({ kind: "rest", ...at, requests, leftMs });
  }

  counted(limited: Limited, budget: Budget): void {
    const at = this.#accountOf(limited);
    if (!at) return;
    const key = keyOf(at);
    const last = this.#tellings.get(key);
    if (last && last.budget.remaining === budget.remaining) return;
    const wait = last ? last.at + TELL_MS - this.#now() : 0;
    if (wait <= 0) {
      clearTimeout(last?.timer);
      return this.#tell(at, budget);
    }
    const tellLatest = (): void => {
      const latest = this.#tellings.get(key);
      if (latest) this.#tell(at, latest.budget);
    };
    const timer = last?.timer ?? setTimeout(tellLatest, wait);
    timer.unref();
    this.#tellings.set(key, { at: last?.at ?? this.#now(), budget, timer });
  }

  restLeft(limited: Limited, requests: RateLimitKind): number {
    // Nearly always.
    if (this.#rests.size === 0) return 0;
    const at = this.#accountOf(limited);
    const until = at && this.#rests.get(`${requests} ${keyOf(at)}`);
    return until === undefined ? 0 : Math.max(0, until - this.#now());
  }

  budget(limited: Limited): Budget | undefined {
    if (this.#budgets.size === 0) return undefined;
    const at = this.#accountOf(limited);
    const heard = at && this.#budgets.get(keyOf(at));
    return heard && heard.until > this.#now() ? heard.budget : undefined;
  }

  /** Another replica was told so. */
  heard(fact: RestFact | BudgetFact): void {
    const until = this.#now() + fact.leftMs;
    if (fact.kind === "rest") {
      const key = `${fact.requests} ${keyOf(fact)}`;
      const latest = Math.min(until, this.#now() + MAX_REST_MS);
      this.#rests.set(key, Math.max(latest, this.#rests.get(key) ?? latest));
      return;
    }
    const { remaining, limit, window } = fact;
    const before = this.#budgets.get(keyOf(fact));
    const isLower = !before || before.until <= this.#now() || remaining <= before.budget.remaining;
    if (!isLower) return;
    const budget = { remaining, window, ...(limit === undefined ? {} : { limit }) };
    this.#budgets.set(keyOf(fact), { budget, until });
  }

  close(): void {
    this.#tellings.clear();
  }

  #tell(at: LimitedAccount, budget: Budget): void {
    this.#tellings.set(keyOf(at), { at: this.#now(), budget });
    this.#ledger.tell({ kind: "budget", ...at, ...budget, leftMs: budget.window * 1000 });
  }

  #accountOf({ upstream: name, host, account, source = "" }: Limited): LimitedAccount | undefined {
    const upstream = parseUpstreamName(name);
    if (!upstream) return undefined;
    const whose = `${account}\0${account === ANONYMOUS ? source : ""}`;
    let hashed = this.#names.get(whose);
    if (hashed === undefined) {
      const hmac = createHmac("sha256", this.#secret).update(`account\0${whose}`);
      hashed = hmac.digest("hex").slice(0, ACCOUNT_LENGTH);
      this.#names.set(whose, hashed);
    }
    return { upstream, host, account: hashed };
  }
}

function keyOf({ upstream, host, account }: LimitedAccount): string {
  return `${upstream} ${host} ${account}`;
}
