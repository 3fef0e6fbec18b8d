import { Dialer, type DialerOptions } from "./transport/dialer.ts";
import { Keyring, type KeyringOptions } from "./auth/keyring.ts";
import type { UpstreamObserver } from "./observer.ts";
import { Slots, type SlotsOptions } from "./transport/concurrency-limiter.ts";
import { TokenCache } from "./auth/token-cache.ts";

/** What all registries of a process share on their way out. */
export interface RegistryTransport {
  readonly dialer: Dialer;
  readonly slots: Slots;
  readonly tokens: TokenCache;
  readonly keyring: Keyring;
  /**
   * From a question to the headers of its last answer, with all redirects, tokens and waiting, in
   * milliseconds. Below the 20 s in which a node must have headers.
   */
  readonly timeout: number;
  readonly observe?: UpstreamObserver;
}

export interface RegistryTransportOptions
  extends DialerOptions, Pick<KeyringOptions, "reread" | "helperDeadline"> {
  readonly slots?: SlotsOptions;
  /** The clock of tokens, in milliseconds. */
  readonly now?: () => number;
  readonly timeout?: number;
}

export function openRegistryTransport(options: RegistryTransportOptions = {}): RegistryTransport {
  const {
    slots: limits,
    now,
    timeout: patience = 15_000,
    reread,
    helperDeadline,
    ...dialing
  } = options;
  const dialer = new Dialer(dialing);
  const slots = new Slots(limits);
  const tokens = new TokenCache({ dialer, slots, ...(now ? { now } : {}) });
  const observed = dialing.observe ? { observe: dialing.observe } : {};
  const keyring = new Keyring({
    ...observed,
    ...(now ? { now } : {}),
    ...(reread ? { reread } : {}),
    ...(helperDeadline === undefined ? {} : { helperDeadline }),
  });
  return { dialer, slots, tokens, keyring, timeout: patience, ...observed };
}
