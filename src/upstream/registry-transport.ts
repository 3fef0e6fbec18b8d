import type { UpstreamSettings } from "../config/settings.ts";
import type { Tracer } from "../telemetry/tracing/tracer.ts";
import { Dialer, type DialerOptions } from "./transport/dialer.ts";
import { type CredentialChoice, Keyring, type KeyringOptions } from "./auth/keyring.ts";
import type { PooledLimits } from "./health/pooled-limits.ts";
import type { UpstreamObserver } from "./observer.ts";
import { PublicKeyring } from "./auth/public-keyring.ts";
import { DownloadRates } from "./rates/download-rates.ts";
import {
  ConcurrencyLimiter,
  type ConcurrencyLimiterOptions,
} from "./transport/concurrency-limiter.ts";
import { type Authorizations, TokenCache } from "./auth/token-cache.ts";
import { TracedDialer } from "./traced-dialer.ts";

/** What the clients of all upstreams in a process share. */
export interface RegistryTransport {
  readonly dialer: Dialer;
  readonly limiter: ConcurrencyLimiter;
  readonly tokens: Authorizations;
  /** Of what clients' credentials were exchanged for. */
  readonly clientTokens: TokenCache;
  readonly keyring: CredentialChoice;
  /** For what upstreams show to anybody, where `keyring` sends nothing. */
  readonly publicKeyring: CredentialChoice;
  readonly rates: DownloadRates;
  /**
   * From a request to the headers of its final response, with all redirects, token requests and waiting,
   * in milliseconds. Below the 20 s within which a node must have headers.
   */
  readonly timeout: number;
  readonly observe?: UpstreamObserver;
  /** What other replicas know of rate limits. */
  readonly pooledLimits?: PooledLimits | undefined;
  /** On how many connections blobs may be downloaded from an upstream. */
  connections(settings: Pick<UpstreamSettings, "maxConnections">): number;
}

export interface RegistryTransportOptions
  extends DialerOptions, Pick<KeyringOptions, "reread" | "helperTimeout"> {
  readonly concurrency?: ConcurrencyLimiterOptions;
  /** The clock for tokens and credentials, monotonic, in milliseconds. */
  readonly now?: () => number;
  /** In milliseconds: see `RegistryTransport.timeout`. */
  readonly timeout?: number;
  readonly pooledLimits?: PooledLimits | undefined;
  /** Absent: requests are not traced. */
  readonly tracer?: Tracer | undefined;
  /** How many replicas share the connections to each upstream; 1 by default. */
  readonly replicas?: (() => number) | undefined;
}

export function openRegistryTransport(options: RegistryTransportOptions = {}): RegistryTransport {
  const { concurrency, now, timeout = 15_000, reread, helperTimeout, ...more } = options;
  const { pooledLimits, tracer, replicas = () => 1, ...others } = more;
  const rates = others.rates ?? new DownloadRates();
  const dialerOptions = { ...others, rates };
  const dialer = tracer ? new TracedDialer(dialerOptions, tracer) : new Dialer(dialerOptions);
  const limiter = new ConcurrencyLimiter(concurrency);
  const tokenOptions = { dialer, limiter, ...(now ? { now } : {}) };
  const tokens = new TokenCache(tokenOptions);
  const clientTokens = new TokenCache(tokenOptions);
  const observer = dialerOptions.observe ? { observe: dialerOptions.observe } : {};
  const keyring = new Keyring({
    ...observer,
    ...(now ? { now } : {}),
    ...(reread ? { reread } : {}),
    ...(helperTimeout === undefined ? {} : { helperTimeout }),
  });
  return {
    dialer,
    limiter,
    tokens,
    clientTokens,
    keyring,
    publicKeyring: new PublicKeyring(keyring),
    rates,
    timeout,
    pooledLimits,
    connections: ({ maxConnections }) =>
      Math.max(1, Math.floor(maxConnections / Math.max(1, replicas()))),
    ...observer,
  };
}
