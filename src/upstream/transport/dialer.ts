import { LRUCache } from "lru-cache";
import { type ProxyRule, proxyFor } from "../../config/parsing/proxy.ts";
import type { Identity } from "../../config/settings.ts";
import { Fault } from "../../oci/fault.ts";
import { abortable } from "./abortable.ts";
import {
  type CheckedAddress,
  type Resolver,
  isLiteral,
  withAddress,
  newAddresses,
  resolve,
  systemResolver,
} from "./address.ts";
import { type BodyEnd, timeout, watchBody } from "./response-body.ts";
import { bodyLength, headerProblem } from "./header-checks.ts";
import { networkFault, proxyFault } from "./network-fault.ts";
import type { DialMethod, RequestKind, UpstreamObserver } from "../observer.ts";
import { QUIRKS } from "../quirks.ts";
import { fastestFirst } from "./happy-eyeballs.ts";
import { tlsOptions } from "./tls-options.ts";

/** In milliseconds. */
export interface Deadlines {
  /** For a TCP connection to any of a host's addresses. */
  readonly connect: number;
  /** From the call to the last response header: DNS, connecting, TLS and waiting. */
  readonly headers: number;
  /** The longest wait for the next byte of a body. */
  readonly stall: number;
}

export const DEADLINES: Deadlines = { connect: 5000, headers: 10_000, stall: 30_000 };

/** Bodies are wanted as they are stored: their digests are of those bytes. */
const ALWAYS = { "accept-encoding": "identity", "user-agent": "entrepot" } as const;

/** Hosts with connections that are kept open; CDN hosts come and go. */
const MAX_POOLS = 256;

export interface DialerOptions {
  readonly resolver?: Resolver;
  readonly deadlines?: Partial<Deadlines>;
  /** Authorities to trust in place of the system's, in PEM. */
  readonly ca?: string;
  readonly observe?: UpstreamObserver;
}

export interface DialRequest {
  /** The upstream on whose behalf this is: for messages, and so that pools never mix. */
  readonly upstream: string;
  /** Whether addresses inside may be dialled. */
  readonly allowPrivate: boolean;
  /** See `AddressPolicy`. */
  readonly ledFrom?: string | undefined;
  /** For metrics. */
  readonly request: RequestKind;
  readonly method: DialMethod;
  /** Path and query are sent as they are; user and password in it never are. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly body?: string;
  /** Authorities that are trusted besides the usual ones, in PEM. */
  readonly ca?: string | undefined;
  /** Shown to this host if it asks for a certificate. */
  readonly client?: Identity | undefined;
  readonly proxy?: ProxyRule | undefined;
}

export interface DialResponse {
  readonly status: number;
  readonly headers: Headers;
  /** Must be read to its end or cancelled. Fails with a `Fault`, or with the caller's abort reason. */
  readonly body: ReadableStream<Uint8Array> | undefined;
  /** Resolves when the body is over: read, broken off or cancelled. Never rejects. */
  readonly ended: Promise<BodyEnd>;
}

/** Connections to one host of one upstream. */
interface Pool {
  readonly session: Bun.FetchSession;
  /** The address that answered last: asked first as long as DNS still has it. */
  preferred?: string | undefined;
}

/**
 * Sends single requests to addresses that were checked. Redirects, tokens and the meaning of a
 * status are others' business.
 */
export class Dialer {
  readonly #resolver: Resolver;
  readonly #deadlines: Deadlines;
  readonly #ca: string | undefined;
  readonly #observe: UpstreamObserver | undefined;
  readonly #pools = new LRUCache<string, Pool>({
    max: MAX_POOLS,
    dispose: (pool) => pool.session.close(),
  });

  constructor(options: DialerOptions = {}) {
    this.#resolver = options.resolver ?? systemResolver();
    this.#deadlines = { ...DEADLINES, ...options.deadlines };
    this.#ca = options.ca;
    this.#observe = options.observe;
  }

  /**
   * @throws Fault `address-refused`, `upstream-unreachable`, `upstream-timeout` or `upstream-invalid-response`;
   * the signal's reason where the caller gave up
   */
  async dial(request: DialRequest): Promise<DialResponse> {
    const { signal, upstream, method } = request;
    signal?.throwIfAborted();
    const started = performance.now();
    const about = { upstream, request: request.request };
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const ended = Promise.withResolvers<BodyEnd>();
    const over = (end: BodyEnd): void => {
      signal?.removeEventListener("abort", onAbort);
      const { bytes } = end;
      if (bytes > 0) this.#observe?.({ type: "received", ...about, bytes });
      ended.resolve(end);
    };
    const timer = setTimeout(() => {
      controller.abort(timeout(upstream, "answer", this.#deadlines.headers));
    }, this.#deadlines.headers);
    try {
      const response = await this.#connect(request, controller.signal);
      const milliseconds = performance.now() - started;
      const { status } = response;
      this.#observe?.({ type: "answered", ...about, method, status, milliseconds });
      const body = this.#body(request, response, controller, over);
      return { status, headers: response.headers, body, ended: ended.promise };
    } catch (error) {
      const fault = error instanceof Fault ? error.detail.kind : "aborted";
      this.#observe?.({ type: "failed", ...about, fault });
      signal?.removeEventListener("abort", onAbort);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes what is idle; requests in flight finish. */
  close(): void {
    this.#pools.clear();
  }

  async #connect(request: DialRequest, signal: AbortSignal): Promise<Response> {
    const { upstream, url, allowPrivate, ledFrom } = request;
    const proxy = proxyFor(request.proxy, url);
    const policy = { upstream, allowPrivate, ledFrom, resolver: this.#resolver };
    if (proxy) {
      // Names are the proxy's to resolve, and often cannot be resolved here. What is plainly inside
      // is refused all the same; beyond that, the proxy's own rules decide (SECURITY.md).
      if (isLiteral(url.hostname) || /(?:^|\.)localhost$/.test(url.hostname)) {
        await abortable(resolve(url.hostname, policy), signal);
      }
      return this.#through(proxy, request, signal);
    }
    const pool = this.#pool(request);
    const addresses = await abortable(resolve(url.hostname, policy), signal);
    try {
      return await this.#any(addresses, pool, request, signal);
    } catch (error) {
      signal.throwIfAborted();
      const others = await abortable(newAddresses(url.hostname, policy, addresses), signal);
      if (others.length === 0) throw error;
      return this.#any(others, pool, request, signal);
    }
  }

  async #any(
    addresses: readonly CheckedAddress[],
    pool: Pool,
    request: DialRequest,
    signal: AbortSignal,
  ): Promise<Response> {
    const { upstream, url } = request;
    let fault: Fault | undefined;
    for (const address of await this.#order(addresses, pool, request, signal)) {
      try {
        const response = await pool.session.fetch(withAddress(url, address), {
          ...requestInit(request, signal),
          proxy: false,
        });
        pool.preferred = address.ip;
        return response;
      } catch (error) {
        // Late counts too: an address that went silent must not come first again.
        pool.preferred = undefined;
        signal.throwIfAborted();
        fault ??= networkFault(upstream, url.host, error);
      }
    }
    throw fault ?? networkFault(upstream, url.host, undefined);
  }

  async #through(proxy: URL, request: DialRequest, signal: AbortSignal): Promise<Response> {
    const { upstream, url } = request;
    const from = request.proxy?.from ?? "";
    let response: Response;
    try {
      const plain = new URL(url);
      [plain.username, plain.password, plain.hash] = ["", "", ""];
      const session = this.#pool(request).session;
      response = await session.fetch(plain, { ...requestInit(request, signal), proxy: proxy.href });
    } catch (error) {
      signal.throwIfAborted();
      throw proxyFault(upstream, { proxy: proxy.host, from, host: url.host }, error);
    }
    const isProxyOwn = response.status === 407 || response.headers.has(QUIRKS.proxyChallengeHeader);
    if (!isProxyOwn) return response;
    await response.body?.cancel();
    throw proxyFault(upstream, { proxy: proxy.host, from, host: url.host }, 407);
  }

  /** A host's addresses, those first that take a connection first; known good ones are not probed. */
  async #order(
    addresses: readonly CheckedAddress[],
    pool: Pool,
    { upstream, url }: DialRequest,
    signal: AbortSignal,
  ): Promise<readonly CheckedAddress[]> {
    const preferred = addresses.find(({ ip }) => ip === pool.preferred);
    if (preferred) return [preferred, ...addresses.filter((address) => address !== preferred)];
    const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
    const { connect } = this.#deadlines;
    const late = AbortSignal.timeout(connect);
    const ordered = await fastestFirst(addresses, port, AbortSignal.any([signal, late]));
    signal.throwIfAborted();
    if (late.aborted) throw timeout(upstream, `accept a connection at ${url.host}`, connect);
    return ordered;
  }

  #body(
    { upstream, url, method }: DialRequest,
    { headers, body }: Response,
    controller: AbortController,
    over: (end: BodyEnd) => void,
  ): ReadableStream<Uint8Array> | undefined {
    const untrue = headerProblem(headers);
    if (untrue !== undefined) {
      controller.abort();
      throw new Fault({
        kind: "upstream-invalid-response",
        upstream,
        reason: `${url.host} ${untrue}`,
      });
    }
    if (method === "HEAD" || !body) {
      over({ bytes: 0, how: "whole" });
      return undefined;
    }
    const expected = bodyLength(headers);
    return watchBody(body, {
      upstream,
      stall: this.#deadlines.stall,
      ...(expected === undefined ? {} : { expected }),
      controller,
      explain: (cause) => networkFault(upstream, url.host, cause),
      onEnd: over,
    });
  }

  /**
   * A pool per scheme, host and port, and for what secures it: Bun would otherwise reuse a TLS
   * connection that was made, and whose certificate was checked, for another name on the same address.
   */
  #pool({ upstream, url, ca = this.#ca, client, proxy }: DialRequest): Pool {
    const named =
      isLiteral(url.hostname) || proxyFor(proxy, url) ? {} : { serverName: url.hostname };
    const { tls, fingerprint } = tlsOptions(ca, client);
    const key = `${upstream} ${url.origin} ${fingerprint}`;
    const known = this.#pools.get(key);
    if (known) return known;
    const pool: Pool = {
      session: new Bun.FetchSession({ tls: { ...named, ...tls }, keepAlive: { idleTimeout: 60 } }),
    };
    this.#pools.set(key, pool);
    return pool;
  }
}

function requestInit(
  { method, headers, url, body }: DialRequest,
  signal: AbortSignal,
): BunFetchRequestInit {
  return {
    method,
    headers: { ...headers, ...ALWAYS, host: url.host },
    redirect: "manual",
    decompress: false,
    signal,
    ...(body === undefined ? {} : { body }),
  };
}
