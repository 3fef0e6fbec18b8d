import { LRUCache } from "lru-cache";
import { IDENTITY_TOKEN_USER } from "../../config/upstreams/docker-config.ts";
import type { Credentials, Identity, UpstreamSettings } from "../../config/settings.ts";
import type { Challenge } from "../../oci/challenge.ts";
import { Fault } from "../../oci/fault.ts";
import { abortable } from "../transport/abortable.ts";
import { discard, readBody } from "../transport/response-body.ts";
import type { DialResponse, Dialer, DialRequest } from "../transport/dialer.ts";
import { parseObject } from "../../oci/json-object.ts";
import { QUIRKS } from "../quirks.ts";
import { accountOf, CredentialsRefused } from "./keyring.ts";
import { realmProblem } from "./realm.ts";
import { faultFromStatus } from "../transport/status-fault.ts";
import type { ConcurrencyLimiter } from "../transport/concurrency-limiter.ts";

/** The largest size of all cached tokens together, in bytes. */
const MAX_CACHE_BYTES = 8 * 1024 * 1024;
/** The lifetime of a token without `expires_in`, in seconds (distribution's token specification). */
const DEFAULT_LIFETIME = 60;
/** How long Basic credentials are sent without a new challenge, in seconds. */
const BASIC_LIFETIME = 3600;

/** What an authorization is for. */
export interface TokenSubject {
  readonly upstream: UpstreamSettings;
  /** The registry that the request goes to: the upstream's own, or one that it redirected to. */
  readonly registry: URL;
  /** The repository's name at that registry. */
  readonly repository: string;
  /** The upstream's credentials, and only if the registry is its own. */
  readonly credentials?: Credentials | undefined;
  /** The client certificate for token endpoints on the registry's own host. */
  readonly client?: Identity | undefined;
}

export interface Authorization {
  /** The value of the Authorization header: a secret. */
  readonly header: string;
  /** Whether it was obtained just now. If the registry refuses it, there is no point in another one. */
  readonly isFresh: boolean;
}

interface Entry {
  readonly header: string;
  /** On the clock of `now`, in milliseconds. */
  readonly renewAt: number;
}

export interface TokenCacheOptions {
  readonly dialer: Dialer;
  readonly limiter: ConcurrencyLimiter;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
}

/**
 * Caches bearer tokens and Basic credentials by upstream, registry, account and scope, up to a TTL.
 * Concurrent requests for the same token are collapsed into one (single-flight).
 */
export class TokenCache {
  readonly #dialer: Dialer;
  readonly #limiter: ConcurrencyLimiter;
  readonly #now: () => number;
  readonly #entries = new LRUCache<string, Entry>({
    max: 4096,
    maxSize: MAX_CACHE_BYTES,
    sizeCalculation: (entry, key) => entry.header.length + key.length,
  });
  readonly #running = new Map<string, Promise<Entry>>();

  constructor({ dialer, limiter, now }: TokenCacheOptions) {
    this.#dialer = dialer;
    this.#limiter = limiter;
    this.#now = now ?? (() => performance.now());
  }

  /** The Authorization header to send without waiting for a challenge, if one is cached. */
  cached(subject: TokenSubject): string | undefined {
    return this.#unexpired(keyOf(subject))?.header;
  }

  /**
   * Obtains the authorization that a challenge asks for; `undefined` if there is none, as for Basic
   * without credentials.
   *
   * @param refused the Authorization header that the registry has just refused, if one was sent
   * @throws Fault; CredentialsRefused; the signal's reason if the caller aborted (a shared token request
   * goes on for the others)
   */
  async authorize(
    subject: TokenSubject,
    challenge: Challenge,
    refused: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Authorization | undefined> {
    const key = keyOf(subject);
    if (challenge.scheme === "basic") {
      if (!subject.credentials) return undefined;
      const header = basic(subject.credentials);
      this.#entries.set(key, { header, renewAt: this.#now() + BASIC_LIFETIME * 1000 });
      return { header, isFresh: true };
    }
    const cached = this.#unexpired(key);
    if (cached && cached.header !== refused) return { header: cached.header, isFresh: false };
    // The realm is part of the key: a request never waits for the token of another challenge.
    const flight = `${key}\n${challenge.realm}\n${challenge.service ?? ""}`;
    let running = this.#running.get(flight);
    if (!running) {
      running = this.#request(subject, challenge).finally(() => this.#running.delete(flight));
      this.#running.set(flight, running);
      running.then(
        (entry) => this.#entries.set(key, entry),
        () => undefined, // The waiting callers get the rejection. There may be none left.
      );
    }
    const { header } = await abortable(running, signal);
    return { header, isFresh: true };
  }

  /** Removes the cached authorization: the next request waits for a challenge. */
  forget(subject: TokenSubject): void {
    this.#entries.delete(keyOf(subject));
  }

  #unexpired(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry && this.#now() < entry.renewAt ? entry : undefined;
  }

  async #request(
    subject: TokenSubject,
    challenge: Challenge & { scheme: "bearer" },
  ): Promise<Entry> {
    const { upstream, registry, client } = subject;
    const realm = parseRealm(subject, challenge.realm);
    const release = await this.#limiter.acquire("token", upstream.name);
    try {
      const requestedAt = this.#now();
      const response = await this.#dialer.dial({
        upstream: upstream.name,
        allowPrivate: upstream.allowPrivate,
        redirectedFrom:
          realm.hostname === upstream.url.hostname ? undefined : upstream.url.hostname,
        kind: "token",
        ...tokenRequest(subject, challenge, realm),
        ca: upstream.ca,
        client: realm.hostname === registry.hostname ? client : undefined,
        proxy: upstream.proxy,
      });
      const { token, lifetime } = await readToken(subject, response);
      // Renewed when 90 % of its lifetime is over, at most 30 s before it expires.
      const margin = Math.min(lifetime * 0.1, 30);
      return { header: `Bearer ${token}`, renewAt: requestedAt + (lifetime - margin) * 1000 };
    } finally {
      release();
    }
  }
}

/**
 * The only scope that is ever requested. A challenge's own scope is ignored: registries put placeholders
 * or more than `pull` in it.
 */
function scopeOf(repository: string): string {
  return `repository:${repository}:pull`;
}

function keyOf({ upstream, registry, repository, credentials }: TokenSubject): string {
  return [upstream.name, registry.origin, accountOf(credentials), scopeOf(repository)].join("\n");
}

/** RFC 7617, in UTF-8. */
function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/**
 * A GET as in distribution's token specification. An identity token is sent as its OAuth2 refresh token,
 * in a POST.
 */
function tokenRequest(
  { repository, credentials }: TokenSubject,
  { service }: Challenge & { scheme: "bearer" },
  realm: URL,
): Pick<DialRequest, "method" | "url" | "headers" | "body"> {
  const scope = scopeOf(repository);
  const accept = "application/json";
  if (credentials?.username === IDENTITY_TOKEN_USER) {
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      client_id: "entrepot",
      refresh_token: credentials.password,
      scope,
      ...(service === undefined ? {} : { service }),
    });
    const headers = { accept, "content-type": "application/x-www-form-urlencoded" };
    return { method: "POST", url: realm, headers, body: form.toString() };
  }
  if (service !== undefined) realm.searchParams.set("service", service);
  realm.searchParams.set("scope", scope);
  const authorization = credentials ? { authorization: basic(credentials) } : {};
  return { method: "GET", url: realm, headers: { accept, ...authorization } };
}

function parseRealm({ upstream, registry, credentials }: TokenSubject, text: string): URL {
  const realm = URL.parse(text);
  if (!realm?.host) {
    const reason = `the realm in the challenge of ${registry.host} is not a URL with a host`;
    throw new Fault({ kind: "upstream-invalid-response", upstream: upstream.name, reason });
  }
  const problem = realmProblem(realm, registry, upstream.trustedRealms, credentials !== undefined);
  if (problem === undefined) return realm;
  throw new Fault({
    kind: "address-refused",
    upstream: upstream.name,
    host: realm.host,
    reason: problem,
  });
}

async function readToken(
  { upstream, registry, repository, credentials }: TokenSubject,
  { status, headers, body }: DialResponse,
): Promise<{ token: string; lifetime: number }> {
  const endpoint = `the token endpoint of ${registry.host}`;
  const invalidResponse = (reason: string): Fault =>
    new Fault({ kind: "upstream-invalid-response", upstream: upstream.name, reason });
  if (status !== 200) {
    await discard(body);
    if (credentials && (status === 401 || status === 403)) {
      throw new CredentialsRefused(status, endpoint);
    }
    // Redirects are not followed: the credentials are for this endpoint alone.
    if (status >= 300 && status < 400) throw invalidResponse(`${endpoint} redirects`);
    // A missing token endpoint does not mean that the repository is missing.
    if (status === 404) {
      throw new Fault({ kind: "upstream-failed", upstream: upstream.name, status });
    }
    throw faultFromStatus(status, headers, {
      upstream: upstream.name,
      resource: "repository",
      name: repository,
    });
  }
  const bytes = await readBody(body, {
    upstream: upstream.name,
    what: "a token",
    limit: QUIRKS.maxTokenResponseBytes,
    timeout: 10_000,
  });
  const response = parseObject(bytes);
  if (response === undefined) throw invalidResponse(`${endpoint} sent no JSON object`);
  const token = [response["token"], response["access_token"]].find(
    (value): value is string => typeof value === "string" && value !== "",
  );
  // The token becomes part of a header: only visible ASCII is accepted.
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
    throw invalidResponse(`${endpoint} sent no valid token`);
  }
  const expiresIn = response["expires_in"];
  const lifetime = typeof expiresIn === "number" && expiresIn > 0 ? expiresIn : DEFAULT_LIFETIME;
  return { token, lifetime };
}
