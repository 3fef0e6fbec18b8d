import { Dialer, type DialerOptions } from "./transport/dialer.ts";
import { Keyring, type KeyringOptions } from "./auth/keyring.ts";
import type { UpstreamObserver } from "./observer.ts";
import { Slots, type SlotsOptions } from "./transport/slots.ts";
import { Tokens } from "./auth/token-cache.ts";

/** What all registries of a process share on their way out. */
export interface Roads {
  readonly dialer: Dialer;
  readonly slots: Slots;
  readonly tokens: Tokens;
  readonly keyring: Keyring;
  /**
   * From a question to the headers of its last answer, with all redirects, tokens and waiting, in
   * milliseconds. Below the 20 s in which a node must have headers.
   */
  readonly patience: number;
  readonly observe?: UpstreamObserver;
}

export interface RoadsOptions
  extends DialerOptions, Pick<KeyringOptions, "reread" | "helperDeadline"> {
  readonly slots?: SlotsOptions;
  /** The clock of tokens, in milliseconds. */
  readonly now?: () => number;
  readonly patience?: number;
}

export function openRoads(options: RoadsOptions = {}): Roads {
  const { slots: limits, now, patience = 15_000, reread, helperDeadline, ...dialing } = options;
  const dialer = new Dialer(dialing);
  const slots = new Slots(limits);
  const tokens = new Tokens({ dialer, slots, ...(now ? { now } : {}) });
  const observed = dialing.observe ? { observe: dialing.observe } : {};
  const keyring = new Keyring({
    ...observed,
    ...(now ? { now } : {}),
    ...(reread ? { reread } : {}),
    ...(helperDeadline === undefined ? {} : { helperDeadline }),
  });
  return { dialer, slots, tokens, keyring, patience, ...observed };
}
