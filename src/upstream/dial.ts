import { LRUCache } from "lru-cache";
import { Fault } from "../oci/fault.ts";
import { abortable } from "./abortable.ts";
import {
  type CheckedAddress,
  type Resolver,
  isLiteral,
  resolve,
  systemResolver,
} from "./address.ts";
import { timeout, watch } from "./body.ts";
import { networkFault } from "./network-fault.ts";
import type { RequestKind, UpstreamObserver } from "./observer.ts";
import { fastestFirst } from "./reach.ts";

/** In milliseconds. */
export interface Deadlines {
  /** From the call to the last response header: DNS, connecting, TLS and waiting. */
  readonly headers: number;
  /** The longest wait for the next byte of a body. */
  readonly stall: number;
}

export const DEADLINES: Deadlines = { headers: 10_000, stall: 30_000 };

/** Response headers above this are no registry's; Bun's own limit is in the megabytes. In bytes. */
const MAX_HEADER_BYTES = 64 * 1024;

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
  /** For metrics. */
  readonly request: RequestKind;
  readonly method: "GET" | "HEAD";
  /** Path and query are sent as they are; user and password in it never are. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Must be read to its end or cancelled. Fails with a `Fault`, or with the caller's abort reason. */
  readonly body: ReadableStream<Uint8Array> | undefined;
  /** Resolves when the body is over: read, broken off or cancelled. Never rejects. */
  readonly ended: Promise<void>;
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
   * @throws Fault `address-refused`, `upstream-unreachable`, `upstream-timeout` or `upstream-untrue`;
   * the signal's reason where the caller gave up
   */
  async dial(request: DialRequest): Promise<Answer> {
    const { signal, upstream, method } = request;
    signal?.throwIfAborted();
    const started = performance.now();
    const about = { upstream, request: request.request };
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const ended = Promise.withResolvers<void>();
    const over = (bytes: number): void => {
      signal?.removeEventListener("abort", onAbort);
      if (bytes > 0) this.#observe?.({ type: "received", ...about, bytes });
      ended.resolve();
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
    const { upstream, url, allowPrivate } = request;
    const policy = { upstream, allowPrivate, resolver: this.#resolver };
    const pool = this.#pool(upstream, url);
    const addresses = await abortable(resolve(url.hostname, policy), signal);
    let fault: Fault | undefined;
    for (const address of await order(addresses, pool, url, signal)) {
      try {
        const response = await pool.session.fetch(literal(url, address), {
          method: request.method,
          headers: { ...request.headers, ...ALWAYS, host: url.host },
          redirect: "manual",
          decompress: false,
          proxy: false,
          signal,
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

  #body(
    { upstream, url, method }: DialRequest,
    { headers, body }: Response,
    controller: AbortController,
    over: (bytes: number) => void,
  ): ReadableStream<Uint8Array> | undefined {
    const untrue = headerProblem(headers);
    if (untrue !== undefined) {
      controller.abort();
      throw new Fault({ kind: "upstream-untrue", upstream, reason: `${url.host} ${untrue}` });
    }
    if (method === "HEAD" || !body) {
      over(0);
      return undefined;
    }
    const expected = bodyLength(headers);
    return watch(body, {
      upstream,
      stall: this.#deadlines.stall,
      ...(expected === undefined ? {} : { expected }),
      controller,
      explain: (cause) => networkFault(upstream, url.host, cause),
      onEnd: over,
    });
  }

  /**
   * A pool per scheme, host and port: Bun would otherwise reuse a TLS connection that was made, and
   * whose certificate was checked, for another name on the same address.
   */
  #pool(upstream: string, url: URL): Pool {
    const key = `${upstream} ${url.origin}`;
    const known = this.#pools.get(key);
    if (known) return known;
    const named = isLiteral(url.hostname) ? {} : { serverName: url.hostname };
    const tls = { ...named, ...(this.#ca === undefined ? {} : { ca: this.#ca }) };
    const pool: Pool = { session: new Bun.FetchSession({ tls, keepAlive: { idleTimeout: 60 } }) };
    this.#pools.set(key, pool);
    return pool;
  }
}

/** The size of a body in bytes as its sender tells it; a transfer coding has it not count (RFC 9112 section 6.2). */
export function bodyLength(headers: Headers): number | undefined {
  const length = headers.get("content-length");
  if (length === null || headers.has("transfer-encoding")) return undefined;
  return /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

async function order(
  addresses: readonly CheckedAddress[],
  pool: Pool,
  url: URL,
  signal: AbortSignal,
): Promise<readonly CheckedAddress[]> {
  const preferred = addresses.find(({ ip }) => ip === pool.preferred);
  if (preferred) return [preferred, ...addresses.filter((address) => address !== preferred)];
  if (addresses.length < 2) return addresses;
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  const ordered = await fastestFirst(addresses, port, signal);
  signal.throwIfAborted();
  return ordered;
}

/** The same URL with a number for its host. */
function literal(url: URL, { ip, family }: CheckedAddress): URL {
  const dialled = new URL(url);
  dialled.username = "";
  dialled.password = "";
  dialled.hash = "";
  dialled.hostname = family === 6 ? `[${ip}]` : ip;
  return dialled;
}

function headerProblem(headers: Headers): string | undefined {
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length + 4;
  if (bytes > MAX_HEADER_BYTES) return `sent ${bytes} bytes of headers`;
  const coding = headers.get("content-encoding")?.trim().toLowerCase() || "identity";
  if (coding !== "identity") {
    // Its digest is of the bytes as they are stored: decoded ones would not match.
    return `sent a body encoded as ${JSON.stringify(coding.slice(0, 32))} although identity was asked for`;
  }
  return undefined;
}
