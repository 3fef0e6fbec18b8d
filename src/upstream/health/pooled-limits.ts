import type { Budget, RateLimitKind } from "./budget.ts";

/** Whose requests a host limits. */
export interface Limited {
  readonly upstream: string;
  /** The URL of the registry or mirror. */
  readonly host: string;
  /** As `Keyring.account` returns it: it must not leave this process as it is. */
  readonly account: string;
  /** What the host counts requests without credentials by, if it says so: usually the address that they come from. */
  readonly source?: string | undefined;
}

/** What several replicas of a cache know together of the limits of hosts. All calls return at once. */
export interface PooledLimits {
  /** A host answered 429: it gets no requests of a kind for so many milliseconds. */
  rested(limited: Limited, kind: RateLimitKind, milliseconds: number): void;
  /** A host told how many requests it still allows. */
  counted(limited: Limited, budget: Budget): void;
  /** For how many milliseconds others were told to send no requests of a kind. */
  restLeft(limited: Limited, kind: RateLimitKind): number;
  /** What others were told last that a host still allows. */
  budget(limited: Limited): Budget | undefined;
}
