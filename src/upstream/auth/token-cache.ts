import { LRUCache } from "lru-cache";
import type { BearerChallenge, Challenge } from "../../oci/challenge.ts";
import { Fault } from "../../oci/fault.ts";
import { abortable } from "../transport/abortable.ts";
import type { Dialer } from "../transport/dialer.ts";
import { accountOf } from "./keyring.ts";
import { basic, requestToken, scopeOf, type TokenSubject } from "./token-request.ts";
import type { ConcurrencyLimiter } from "../transport/concurrency-limiter.ts";

/** The largest size of all cached tokens together, in bytes. */
const MAX_CACHE_BYTES = 8 * 1024 * 1024;
/** How long Basic credentials are sent without a new challenge, in seconds. */
const BASIC_LIFETIME = 3600;

export interface Authorization {
  readonly scheme: Challenge["scheme"];
  /** The value of the Authorization header: a secret. */
  readonly header: string;
  /** Whether it was obtained for this request. If the registry refuses it, another one is of no use. */
  readonly isFresh: boolean;
}

/** What is remembered of an authorization: for Basic, only that it is what the registry asks for. */
interface Entry {
  readonly scheme: Challenge["scheme"];
  /** The value of the header of a bearer token: a secret. */
  readonly header?: string;
  /** When it was asked for, and from when on another one is, on the clock of `now`, in milliseconds. */
  readonly askedAt: number;
  readonly renewAt: number;
}

interface Flight {
  readonly askedAt: number;
  readonly result: Promise<Required<Entry>>;
}

/** Where requests have their authorizations from. */
export type Authorizations = Pick<TokenCache, "cached" | "authorize" | "forget">;

export interface TokenCacheOptions {
  readonly dialer: Dialer;
  readonly limiter: ConcurrencyLimiter;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

/**
 * Caches bearer tokens, and where Basic credentials are asked for, by upstream, registry, account and scope, up to a TTL.
 * Concurrent requests for the same token are collapsed into one (single-flight).
 */
export class TokenCache {
  readonly #dialer: Dialer;
  readonly #limiter: ConcurrencyLimiter;
  readonly #now: () => number;
  readonly #entries = new LRUCache<string, Entry>({
    max: 4096,
    maxSize: MAX_CACHE_BYTES,
    sizeCalculation: (entry, key) => (entry.header?.length ?? 0) + key.length,
  });
  readonly #running = new Map<string, Flight>();

  constructor({ dialer, limiter, now }: TokenCacheOptions) {
    this.#dialer = dialer;
    this.#limiter = limiter;
    this.#now = now ?? (() => performance.now());
  }

  /** What to send without waiting for a challenge, if it is cached. */
  cached(subject: TokenSubject, since = -Infinity): Authorization | undefined {
    const entry = this.#entries.get(keyOf(subject));
    if (!entry || this.#now() >= entry.renewAt || entry.askedAt < since) return undefined;
    const header = headerOf(entry, subject);
    return header === undefined ? undefined : { scheme: entry.scheme, header, isFresh: false };
  }

  /**
   * Obtains an authorization that one of the challenges asks for: the first that can be met. `undefined` if
   * there is none, as for Basic without credentials.
   *
   * @throws Fault; CredentialsRefused; the signal's reason if the caller aborted (a shared token request
   * goes on for the others)
   */
  async authorize(
    subject: TokenSubject,
    challenges: readonly Challenge[],
    signal: AbortSignal | undefined,
    since = -Infinity,
  ): Promise<Authorization | undefined> {
    let firstFault: Fault | undefined;
    for (const challenge of challenges) {
      try {
        const authorization = await this.#meet(subject, challenge, signal, since);
        if (authorization) return authorization;
      } catch (error) {
        if (!(error instanceof Fault) || signal?.aborted) throw error;
        firstFault ??= error;
      }
    }
    if (firstFault) throw firstFault;
    return undefined;
  }

  /**
   * The same, but of tokens those alone that are asked for from now on. A token says what a registry granted
   * when it gave it: for what it grants now, it has to give another one.
   */
  fromNowOn(): Authorizations {
    const since = this.#now();
    return {
      cached: (subject) => this.cached(subject, since),
      authorize: (subject, challenges, signal) =>
        this.authorize(subject, challenges, signal, since),
      forget: (subject, refused) => this.forget(subject, refused),
    };
  }

  /** Removes an authorization that was refused, unless another one has replaced it. */
  forget(subject: TokenSubject, refused: Authorization): void {
    const key = keyOf(subject);
    const entry = this.#entries.peek(key);
    if (entry && headerOf(entry, subject) === refused.header) this.#entries.delete(key);
  }

  async #meet(
    subject: TokenSubject,
    challenge: Challenge,
    signal: AbortSignal | undefined,
    since: number,
  ): Promise<Authorization | undefined> {
    const key = keyOf(subject);
    if (challenge.scheme === "basic") {
      if (!subject.credentials) return undefined;
      const { scheme } = challenge;
      // It is nothing that the registry has given.
      const renewAt = this.#now() + BASIC_LIFETIME * 1000;
      this.#entries.set(key, { scheme, askedAt: Infinity, renewAt });
      return { scheme, header: basic(subject.credentials), isFresh: true };
    }
    const cached = this.cached(subject, since);
    if (cached) return cached;
    // The realm is part of the key: a request never waits for the token of another challenge.
    const flight = `${key}\n${challenge.realm}\n${challenge.service ?? ""}`;
    let running = this.#running.get(flight);
    if (!running || running.askedAt < since) {
      const askedAt = this.#now();
      const result = this.#request(subject, challenge, key).finally(() => {
        if (this.#running.get(flight)?.result === result) this.#running.delete(flight);
      });
      // The waiting callers get the rejection. There may be none left.
      result.catch(() => undefined);
      running = { askedAt, result };
      this.#running.set(flight, running);
    }
    const { scheme, header } = await abortable(running.result, signal);
    return { scheme, header, isFresh: true };
  }

  /** Requests a token and caches it. */
  async #request(
    subject: TokenSubject,
    challenge: BearerChallenge,
    key: string,
  ): Promise<Required<Entry>> {
    const release = await this.#limiter.acquire("token", subject.upstream.name);
    try {
      const askedAt = this.#now();
      const { token, lifetime } = await requestToken(this.#dialer, subject, challenge);
      // Renewed when 90 % of its lifetime is over, at most 30 s before it expires.
      const margin = Math.min(lifetime * 0.1, 30);
      const renewAt = askedAt + (lifetime - margin) * 1000;
      const entry = { scheme: "bearer", header: `Bearer ${token}`, askedAt, renewAt } as const;
      // A later request may have been answered first.
      const known = this.#entries.peek(key);
      if (!known || known.askedAt <= askedAt || known.scheme === "basic")
        this.#entries.set(key, entry);
      return entry;
    } finally {
      release();
    }
  }
}

/** Passwords are not kept here: whoever sends them has them. */
function headerOf({ header }: Entry, { credentials }: TokenSubject): string | undefined {
  return header ?? (credentials && basic(credentials));
}

function keyOf({ upstream, registry, repository, credentials }: TokenSubject): string {
  return [upstream.name, registry.origin, accountOf(credentials), scopeOf(repository)].join("\n");
}
