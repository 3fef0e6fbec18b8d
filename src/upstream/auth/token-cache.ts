import { LRUCache } from "lru-cache";
import { IDENTITY_TOKEN_USER } from "../../config/upstreams/docker-config.ts";
import type { Credentials, Identity, UpstreamSettings } from "../../config/settings.ts";
import type { Challenge } from "../../oci/challenge.ts";
import { Fault } from "../../oci/fault.ts";
import { abortable } from "../transport/abortable.ts";
import { discard, readSmall } from "../transport/response-body.ts";
import type { DialResponse, Dialer, DialRequest } from "../transport/dialer.ts";
import { parseObject } from "../transport/json.ts";
import { QUIRKS } from "../quirks.ts";
import { CredentialsRefused, identity } from "./keyring.ts";
import { realmProblem } from "./realm.ts";
import { faultFromStatus } from "../transport/status-fault.ts";
import type { Slots } from "../transport/concurrency-limiter.ts";

/** Of all tokens together, in bytes. */
const MAX_CACHE_BYTES = 8 * 1024 * 1024;
/** A token without `expires_in` lives this long, in seconds (distribution's token specification). */
const DEFAULT_LIFETIME = 60;
/** How long Basic is sent without being asked for again, in seconds. */
const BASIC_LIFETIME = 3600;

/** Who wants to read what. */
export interface TokenSubject {
  readonly upstream: UpstreamSettings;
  /** The registry that is asked: the upstream's own, or one it redirected to. */
  readonly registry: URL;
  /** As that registry knows it. */
  readonly repository: string;
  /** Only ever those of the upstream, and only for its own registry. */
  readonly credentials?: Credentials | undefined;
  /** Shown to token endpoints on the registry's own host. */
  readonly client?: Identity | undefined;
}

export interface Authorization {
  /** The header's value: a secret. */
  readonly header: string;
  /** Whether it was obtained just now. A registry that refuses it then means it. */
  readonly fresh: boolean;
}

interface Entry {
  readonly header: string;
  /** On the clock of `now`, in milliseconds. */
  readonly renewAt: number;
}

export interface TokenCacheOptions {
  readonly dialer: Dialer;
  readonly slots: Slots;
  /** Milliseconds on any clock that only goes forward. */
  readonly now?: () => number;
}

/** Authorizations by registry, credentials and scope. Requests for the same one are made once. */
export class TokenCache {
  readonly #dialer: Dialer;
  readonly #slots: Slots;
  readonly #now: () => number;
  readonly #entries = new LRUCache<string, Entry>({
    max: 4096,
    maxSize: MAX_CACHE_BYTES,
    sizeCalculation: (entry, key) => entry.header.length + key.length,
  });
  readonly #running = new Map<string, Promise<Entry>>();

  constructor({ dialer, slots, now }: TokenCacheOptions) {
    this.#dialer = dialer;
    this.#slots = slots;
    this.#now = now ?? (() => performance.now());
  }

  /** What to send without having been challenged. */
  cached(subject: TokenSubject): string | undefined {
    return this.#fresh(keyOf(subject))?.header;
  }

  /**
   * Answers a challenge; `undefined` where it cannot be, as without credentials for Basic.
   *
   * @param refused what the registry has just refused, if anything was sent
   * @throws Fault; the signal's reason where the caller gave up (others go on waiting)
   */
  async answer(
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
      return { header, fresh: true };
    }
    const known = this.#fresh(key);
    if (known && known.header !== refused) return { header: known.header, fresh: false };
    // The realm is part of what is coalesced: nobody waits for an answer to another's challenge.
    const flight = `${key}\n${challenge.realm}\n${challenge.service ?? ""}`;
    let running = this.#running.get(flight);
    if (!running) {
      running = this.#request(subject, challenge).finally(() => this.#running.delete(flight));
      this.#running.set(flight, running);
      running.then(
        (entry) => this.#entries.set(key, entry),
        () => undefined, // Whoever waits is told; nobody may wait any more.
      );
    }
    const { header } = await abortable(running, signal);
    return { header, fresh: true };
  }

  /** Sends nothing any more without having been challenged. */
  forget(subject: TokenSubject): void {
    this.#entries.delete(keyOf(subject));
  }

  #fresh(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry && this.#now() < entry.renewAt ? entry : undefined;
  }

  async #request(
    subject: TokenSubject,
    challenge: Challenge & { scheme: "bearer" },
  ): Promise<Entry> {
    const { upstream, registry, client } = subject;
    const realm = realmOf(subject, challenge.realm);
    const release = await this.#slots.acquire("token", upstream.name);
    try {
      const asked = this.#now();
      const answer = await this.#dialer.dial({
        upstream: upstream.name,
        allowPrivate: upstream.allowPrivate,
        ledFrom: realm.hostname === upstream.url.hostname ? undefined : upstream.url.hostname,
        request: "token",
        ...tokenRequest(subject, challenge, realm),
        ca: upstream.ca,
        client: realm.hostname === registry.hostname ? client : undefined,
        proxy: upstream.proxy,
      });
      const { token, lifetime } = await readToken(subject, answer);
      const early = Math.min(lifetime * 0.1, 30);
      return { header: `Bearer ${token}`, renewAt: asked + (lifetime - early) * 1000 };
    } finally {
      release();
    }
  }
}

/** The only scope that is ever asked for: registries put placeholders or more than a pull in theirs. */
function scopeOf(repository: string): string {
  return `repository:${repository}:pull`;
}

function keyOf({ upstream, registry, repository, credentials }: TokenSubject): string {
  return [upstream.name, registry.origin, identity(credentials), scopeOf(repository)].join("\n");
}

/** RFC 7617, in UTF-8. */
function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** As distribution's token specification has it; an identity token goes by its OAuth2 form. */
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

function realmOf({ upstream, registry }: TokenSubject, text: string): URL {
  const realm = URL.parse(text);
  if (!realm?.host) {
    const reason = `${registry.host} names a token endpoint that is no URL with a host`;
    throw new Fault({ kind: "upstream-invalid-response", upstream: upstream.name, reason });
  }
  const problem = realmProblem(realm, registry, upstream.trustedRealms);
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
  const untrue = (reason: string): Fault =>
    new Fault({ kind: "upstream-invalid-response", upstream: upstream.name, reason });
  if (status !== 200) {
    await discard(body);
    if (credentials && (status === 401 || status === 403)) {
      throw new CredentialsRefused(status, `${registry.host}'s token endpoint`);
    }
    // Redirects are not followed: credentials went to this endpoint and go to no other.
    if (status >= 300 && status < 400) throw untrue(`${registry.host}'s token endpoint redirects`);
    // A missing token endpoint says nothing about the repository.
    if (status === 404) {
      throw new Fault({ kind: "upstream-failed", upstream: upstream.name, status });
    }
    throw faultFromStatus(status, headers, {
      upstream: upstream.name,
      what: "repository",
      name: repository,
    });
  }
  const bytes = await readSmall(body, {
    upstream: upstream.name,
    what: "a token",
    limit: QUIRKS.maxTokenResponseBytes,
    deadline: 10_000,
  });
  const answer = parseObject(bytes);
  if (answer === undefined) throw untrue(`${registry.host}'s token endpoint sent no JSON object`);
  const token = [answer["token"], answer["access_token"]].find(
    (value): value is string => typeof value === "string" && value !== "",
  );
  // Whatever stands in a token goes into a header: only what may stand there.
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) {
    throw untrue(`${registry.host}'s token endpoint sent no token`);
  }
  const expires = answer["expires_in"];
  const lifetime = typeof expires === "number" && expires > 0 ? expires : DEFAULT_LIFETIME;
  return { token, lifetime };
}
