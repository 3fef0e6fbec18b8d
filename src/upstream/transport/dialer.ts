import { proxyFor } from "../../config/parsing/proxy.ts";
import { Fault, isForAllHosts, isUnsent } from "../../oci/fault.ts";
import type { ByteBudget } from "../../process/byte-budget.ts";
import type { DescriptorBudget } from "../../process/file-descriptors.ts";
import { SlowTimes } from "../../process/slow-times.ts";
import { localDownloads, type OpenDownloads } from "../http1/downloads.ts";
import { abortable } from "./abortable.ts";
import {
  type CheckedAddress,
  type Resolver,
  isIpLiteral,
  addressesAfterRefresh,
  resolve,
  systemResolver,
} from "./address.ts";
import { type BodyEnd, timeoutFault, watchBody } from "./response-body.ts";
import { bodyLength, headerProblem } from "./header-checks.ts";
import { exchangeCause, requestCause, reservedFault, timeoutCause } from "./local-limits.ts";
import { networkFault } from "./network-fault.ts";
import type { UpstreamObserver } from "../observer.ts";
import { Outages } from "../outages.ts";
import { fastestFirst, sendToOnly } from "./happy-eyeballs.ts";
import type { DownloadRates } from "../rates/download-rates.ts";
import { PacedReader } from "../rates/paced-reader.ts";
import type { Turns } from "../rates/turns.ts";
import { DEFAULT_TIMEOUTS, type Timeouts } from "./timeouts.ts";
import { type ConnectionPool, ConnectionPools } from "./connection-pools.ts";
import {
  type OutgoingRequest,
  type RawResponse,
  portOf,
  sendThroughProxy,
  sendTo,
} from "./send-request.ts";

export interface DialerOptions {
  readonly resolver?: Resolver;
  readonly timeouts?: Partial<Timeouts>;
  /** CA certificates for upstreams that set none of their own, in PEM. */
  readonly ca?: string;
  readonly observe?: UpstreamObserver;
  /** For the bytes of blobs that were received and are not written yet. */
  readonly budget?: ByteBudget;
  /** Downloads blobs; by default, this thread does. */
  readonly downloads?: OpenDownloads;
  readonly descriptors?: DescriptorBudget;
  /** What bodies that take no turns are counted in. */
  readonly rates?: DownloadRates;
  readonly outages?: Outages | undefined;
}

export interface DialRequest extends OutgoingRequest {
  /** Whether private addresses may be dialled: see `AddressPolicy`. */
  readonly allowPrivate: boolean;
  /** See `AddressPolicy`. */
  readonly redirectedFrom?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** By which the body is read, if the response is a success. Without, it is read as it arrives. */
  readonly turns?: Turns | undefined;
}

export interface DialResponse {
  readonly status: number;
  readonly headers: Headers;
  /** Must be read to its end or cancelled. Fails with a `Fault` or the abort reason of the caller. */
  readonly body: ReadableStream<Uint8Array> | undefined;
  /** Resolves when the body has ended: complete, broken or cancelled. Never rejects. */
  readonly ended: Promise<BodyEnd>;
}

/**
 * Sends single HTTP requests, over pooled connections, to addresses that were checked. Redirects, tokens
 * and the meaning of a status are the caller's concern: see round-trip.ts.
 */
export class Dialer {
  readonly #resolver: Resolver;
  readonly #timeouts: Timeouts;
  readonly #observe: UpstreamObserver | undefined;
  readonly #pools: ConnectionPools;
  readonly #descriptors: DescriptorBudget | undefined;
  readonly #rates: DownloadRates | undefined;
  readonly #outages: Outages;
  readonly #waits = new Map<string, SlowTimes>();

  constructor(options: DialerOptions = {}) {
    this.#resolver = options.resolver ?? systemResolver();
    this.#timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
    const { ca, downloads = localDownloads(options.budget) } = options;
    this.#pools = new ConnectionPools(ca, downloads);
    this.#observe = options.observe;
    this.#descriptors = options.descriptors;
    this.#rates = options.rates;
    this.#outages = options.outages ?? new Outages();
  }

  /**
   * Sends one request and waits for the response's headers.
   *
   * @throws Fault `address-refused`, `upstream-unreachable`, `upstream-timeout`, `upstream-invalid-response` or
   * `local-limit`; the signal's reason if the caller aborted
   */
  async dial(request: DialRequest): Promise<DialResponse> {
    const { signal, upstream, method, kind } = request;
    signal?.throwIfAborted();
    const startedAt = performance.now();
    const { controller, close } = this.#outages.open(upstream, signal);
    const ended = Promise.withResolvers<BodyEnd>();
    const onEnd = (end: BodyEnd): void => {
      close();
      if (end.bytes > 0) this.#observe?.({ type: "received", upstream, kind, bytes: end.bytes });
      this.#reportLocal(upstream, end.fault);
      ended.resolve(end);
    };
    const timer = setTimeout(() => {
      controller.abort(timeoutFault(upstream, "respond", this.#timeouts.headers));
    }, this.#timeouts.headers);
    const endWait = this.waitsFor(upstream).begin();
    try {
      if (this.#descriptors?.areForNoUpstream) throw reservedFault(upstream, this.#descriptors);
      const response = await this.#connect(request, controller.signal);
      const milliseconds = performance.now() - startedAt;
      const { status, headers } = response;
      this.#observe?.({ type: "responded", upstream, kind, method, status, milliseconds });
      const body = this.#watchBody(request, response, controller, onEnd);
      return { status, headers, body, ended: ended.promise };
    } catch (cause) {
      const error = await timeoutCause(upstream, cause);
      const fault = error instanceof Fault ? error.detail.kind : "aborted";
      this.#observe?.({ type: "failed", upstream, kind, fault });
      this.#reportLocal(upstream, error);
      close();
      throw error;
    } finally {
      endWait();
      clearTimeout(timer);
    }
  }

  /** When an upstream was slow to answer. */
  waitsFor(upstream: string): SlowTimes {
    const waits = this.#waits.get(upstream) ?? new SlowTimes();
    this.#waits.set(upstream, waits);
    return waits;
  }

  /** Closes idle connections. Requests in flight finish. */
  close(): void {
    this.#pools.close();
  }

  #reportLocal(upstream: string, error: unknown): void {
    if (!(error instanceof Fault) || error.detail.kind !== "local-limit") return;
    const { limit, reason } = error.detail;
    this.#observe?.({ type: "local-limit", upstream, limit, reason });
  }

  async #connect(request: DialRequest, signal: AbortSignal): Promise<RawResponse> {
    const { upstream, url, allowPrivate, redirectedFrom } = request;
    const proxy = proxyFor(request.proxy, url);
    const policy = { upstream, allowPrivate, redirectedFrom, resolver: this.#resolver };
    if (proxy) {
      // The proxy resolves names, which often cannot be resolved here. IP literals and localhost are
      // checked all the same; for names, the proxy's own access rules decide (SECURITY.md).
      if (isIpLiteral(url.hostname) || /(?:^|\.)localhost$/.test(url.hostname)) {
        await abortable(resolve(url.hostname, policy), signal);
      }
      return sendThroughProxy(proxy, this.#pools.get(request), request, signal);
    }
    const pool = this.#pools.get(request);
    const addresses = await abortable(resolve(url.hostname, policy), signal);
    try {
      return await this.#fetchAny(addresses, pool, request, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Fault && isForAllHosts(error)) throw error;
      const untried = await abortable(
        addressesAfterRefresh(url.hostname, policy, addresses),
        signal,
      );
      if (untried.length === 0) throw error;
      return this.#fetchAny(untried, pool, request, signal);
    }
  }

  /** Tries the addresses one after the other until one responds. */
  async #fetchAny(
    addresses: readonly CheckedAddress[],
    pool: ConnectionPool,
    request: DialRequest,
    signal: AbortSignal,
  ): Promise<RawResponse> {
    const { upstream, url } = request;
    let fault: Fault | undefined;
    for (const address of await this.#order(addresses, pool, request, signal)) {
      try {
        const response = await this.#send(address, pool, request, {
          isOnly: addresses.length === 1,
          signal,
        });
        pool.lastGood = address.ip;
        return response;
      } catch (error) {
        // Also after a timeout: an address that stopped responding must not be tried first again.
        pool.lastGood = undefined;
        signal.throwIfAborted();
        const { ip } = address;
        const cause = await requestCause(error, { ip, port: portOf(url) });
        const failed = networkFault(upstream, url.host, cause);
        if (isForAllHosts(failed)) throw failed;
        // What a server answers says more than that this machine cannot reach another address of it.
        if (!fault || isUnsent(fault)) fault = failed;
      }
    }
    throw fault ?? networkFault(upstream, url.host, undefined);
  }

  async #send(
    address: CheckedAddress,
    pool: ConnectionPool,
    request: DialRequest,
    { isOnly, signal }: { readonly isOnly: boolean; readonly signal: AbortSignal },
  ): Promise<RawResponse> {
    // What waits for its turn must not be in memory that all share.
    const lends = request.lends === true && request.turns?.isUnlimited !== false;
    const send = (ended: AbortSignal): Promise<RawResponse> =>
      sendTo(address, pool, { ...request, lends }, ended);
    if (!isOnly || address.ip === pool.lastGood) return send(signal);
    const { connect } = this.#timeouts;
    const port = portOf(request.url);
    const timeout = { connect, fault: () => this.#connectTimeout(request) };
    return sendToOnly(address, port, timeout, (abandoned) =>
      send(AbortSignal.any([signal, abandoned])),
    );
  }

  /**
   * A host's addresses in the order in which to try them. The last good one comes first, without a probe;
   * else the one that accepts a connection first.
   *
   * @throws Fault `upstream-timeout` if none accepts a connection within the connect timeout
   */
  async #order(
    addresses: readonly CheckedAddress[],
    pool: ConnectionPool,
    request: DialRequest,
    signal: AbortSignal,
  ): Promise<readonly CheckedAddress[]> {
    if (addresses.length === 1) return addresses;
    const lastGood = addresses.find(({ ip }) => ip === pool.lastGood);
    if (lastGood) return [lastGood, ...addresses.filter((address) => address !== lastGood)];
    const timedOut = AbortSignal.timeout(this.#timeouts.connect);
    const ended = AbortSignal.any([signal, timedOut]);
    const ordered = await fastestFirst(addresses, portOf(request.url), ended);
    signal.throwIfAborted();
    if (timedOut.aborted) throw this.#connectTimeout(request);
    return ordered;
  }

  #connectTimeout({ upstream, url }: DialRequest): Fault {
    return timeoutFault(upstream, `accept a connection at ${url.host}`, this.#timeouts.connect);
  }

  #watchBody(
    { upstream, url, kind, method, turns }: DialRequest,
    { status, headers, body }: RawResponse,
    controller: AbortController,
    onEnd: (end: BodyEnd) => void,
  ): ReadableStream<Uint8Array> | undefined {
    const problem = headerProblem(headers);
    if (problem !== undefined) {
      controller.abort();
      throw new Fault({
        kind: "upstream-invalid-response",
        upstream,
        reason: `${url.host} ${problem}`,
      });
    }
    if (method === "HEAD" || !body) {
      onEnd({ bytes: 0, outcome: "complete" });
      return undefined;
    }
    const expected = bodyLength(headers);
    const isPaced = turns !== undefined && status >= 200 && status < 300;
    const { signal } = controller;
    const reader = isPaced ? new PacedReader(body, { turns, signal, expected }) : body;
    return watchBody(reader, {
      upstream,
      stallTimeout: this.#timeouts.stall,
      ...(expected === undefined ? {} : { expected }),
      controller,
      // The bodies of blobs wait for the disk as well.
      ...(kind === "blob" ? {} : { waits: this.waitsFor(upstream) }),
      toFault: async (cause) => networkFault(upstream, url.host, await exchangeCause(cause)),
      onEnd: (end) => {
        if (!isPaced) this.#rates?.received(upstream, end.bytes);
        onEnd(end);
      },
    });
  }
}
