import type { UpstreamSettings } from "../config/settings.ts";
import { Fault, isForAllHosts } from "../oci/fault.ts";
import { parseManifest } from "../oci/parse-manifest.ts";
import { ManifestError, type Manifest } from "../oci/manifest.ts";
import { bareMediaType } from "../oci/media-types.ts";
import { ANONYMOUS } from "./auth/keyring.ts";
import { type BodyEnd, discard, readBody } from "./transport/response-body.ts";
import { isComplete } from "./transport/content-range.ts";
import { decoded } from "./transport/decoded.ts";
import type { DialResponse } from "./transport/dialer.ts";
import { roundTrip, type RegistryRequest } from "./round-trip.ts";
import {
  reportCorrupt,
  circuitFor,
  rateLimitKind,
  type Host,
  type Hosts,
  blockedBy,
} from "./hosts.ts";
import { HopTrace } from "./hop-trace.ts";
import { urlAt } from "./host-url.ts";
import { QUIRKS } from "./quirks.ts";
import { type RequestSubject, faultFromStatus } from "./transport/status-fault.ts";
import type { RegistryTransport } from "./registry-transport.ts";

/** For a body that is read into memory, from its headers to its end. In milliseconds. */
const SMALL_BODY_TIMEOUT = 30_000;
/** The part of the timeout that one mirror gets, so that time is left for the hosts after it. */
const MIRROR_TIMEOUT_SHARE = 1 / 3;

/** A request to an upstream, for whichever of its hosts can serve it. */
export interface HostRequest extends Omit<RegistryRequest, "url"> {
  /** Relative to the repository: `manifests/latest`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /**
   * For an endpoint that a registry may lack: statuses that say so, as a 404 does. A web page says it too.
   */
  readonly absent?: ReadonlySet<number>;
  /** The next page of a list: the request goes to this host and this URL only. */
  readonly page?: { readonly host: Host; readonly url: URL };
  /** The URLs of mirrors that are not asked. */
  readonly avoided?: ReadonlySet<string>;
  /** Whether a download goes on without it: a host that refuses one connection more is not ailing. */
  readonly isExtra?: boolean;
}

/** A response, and the host that sent it. */
export interface HostResponse extends DialResponse {
  readonly host: Host;
  /** The URL that was requested, before any redirect. */
  readonly url: URL;
  /** For the complete body, if it is read into memory. In milliseconds. */
  readonly timeout: number;
}

/** Processes a response with content, or a part of it. A Fault that it throws counts against the host. */
export type ResponseHandler<Value> = (response: HostResponse) => Promise<Value>;

/**
 * Sends requests to an upstream's hosts until one serves it. Mirrors come first; whatever one lacks or
 * fails is requested from the next host, and the registry itself is the last. Any response that cannot be
 * used becomes a Fault. Outcomes are recorded in the circuit breakers and rate limits of each host.
 */
export class Failover {
  readonly #hosts: Hosts;
  readonly #transport: RegistryTransport;
  readonly #skipsMirrors: boolean;
  #settings: UpstreamSettings;

  /** @param skipsMirrors whether the registry itself is to answer */
  constructor(
    settings: UpstreamSettings,
    transport: RegistryTransport,
    hosts: Hosts,
    skipsMirrors = false,
  ) {
    this.#settings = settings;
    this.#transport = transport;
    this.#hosts = hosts;
    this.#skipsMirrors = skipsMirrors;
  }

  configure(settings: UpstreamSettings): void {
    this.#settings = settings;
    this.#hosts.configure(settings);
  }

  /**
   * @returns what the handler made of the first usable response
   * @throws Fault of the last host that was tried or blocked; the signal's reason if the caller aborted
   */
  async send<Value>(
    subject: Omit<RequestSubject, "upstream">,
    request: HostRequest,
    handle: ResponseHandler<Value>,
  ): Promise<Value> {
    const { page } = request;
    const { timeout } = this.#transport;
    if (page)
      return this.#sendToHost(page.host, subject, { ...request, url: page.url, timeout }, handle);
    const deadline = performance.now() + timeout;
    let lastFault: Fault | undefined;
    /** Mirrors that sent a malformed manifest. */
    const suspects = new Map<Host, Fault>();
    for (const host of this.#hosts.all) {
      if (host.isMirror && this.#skipsMirrors) continue;
      const left = deadline - performance.now();
      // An unhealthy mirror is skipped, because there are hosts after it. The registry itself is not.
      if (host.isMirror && circuitFor(host, request.kind).isUnhealthy()) continue;
      const isAvoided = request.avoided?.has(host.settings.url.href) || host.skipped.has(request);
      if (host.isMirror && isAvoided) continue;
      if (!host.canResolve && isUnverifiable(request)) continue;
      const blocked = await blockedBy(host, this.#account, request.kind);
      if (blocked) {
        lastFault = blocked;
        continue;
      }
      try {
        const share = host.isMirror ? timeout * MIRROR_TIMEOUT_SHARE : left;
        const sent = { ...request, url: urlAt(host, request), timeout: Math.min(share, left) };
        const value = await this.#sendToHost(host, subject, sent, handle);
        for (const [mirror, fault] of suspects) {
          reportCorrupt(mirror, fault, this.#transport.observe);
        }
        return value;
      } catch (error) {
        if (!(error instanceof Fault) || !host.isMirror || request.isExtra) throw error;
        if (isForAllHosts(error)) throw error;
        if (isMalformedManifest(error)) suspects.set(host, error);
        lastFault = error;
      }
    }
    throw lastFault ?? this.invalidResponse("it has no host for this request");
  }

  /**
   * Reads a complete response into memory.
   *
   * @param what for messages: `a manifest`
   * @param limit in bytes
   * @throws Fault `upstream-invalid-response` for a part, or for more than the limit
   */
  async read(
    response: HostResponse,
    what: string,
    limit: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (!isComplete(response.status, response.headers)) {
      await response.body?.cancel();
      throw this.invalidResponse(`a part of ${what} where the complete one was requested`);
    }
    const upstream = this.#settings.name;
    const { body, headers, timeout } = response;
    return decoded(await readBody(body, { upstream, what, limit, timeout }), headers, limit);
  }

  /** @throws Fault `upstream-invalid-response` for a malformed manifest */
  async parseManifest({ headers }: HostResponse, bytes: Uint8Array): Promise<Manifest> {
    try {
      return await parseManifest(bytes, bareMediaType(headers.get("content-type")));
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
      throw this.invalidResponse(`the manifest is not valid: ${error.message}`, error);
    }
  }

  invalidResponse(reason: string, cause?: ManifestError): Fault {
    const upstream = this.#settings.name;
    return new Fault({ kind: "upstream-invalid-response", upstream, reason }, { cause });
  }

  get #account(): string {
    return this.#transport.keyring.account(this.#settings.name);
  }

  #sendToHost<Value>(
    host: Host,
    subject: Omit<RequestSubject, "upstream">,
    request: HostRequest & { readonly url: URL; readonly timeout: number },
    handle: ResponseHandler<Value>,
  ): Promise<Value> {
    const { name } = this.#settings;
    const trace = new HopTrace(host, request.kind);
    return this.#recordOutcome(host, request, trace, async () => {
      const { path: _, query: __, page: ___, isExtra: ____, timeout, ...rest } = request;
      const onHop: RegistryRequest["onHop"] = (url, hop) => trace.to(url, hop);
      const transport = { ...this.#transport, timeout };
      const response = await roundTrip(host.settings, transport, { ...rest, onHop });
      const { status, headers } = response;
      // Only now: a credential helper may have run during the request.
      const account = host.isMirror ? ANONYMOUS : this.#account;
      // A storage that serves blobs has rate limits of its own.
      if (request.kind !== "blob") host.limits.readHeaders(account, headers);
      const isSuccess = status === 206 || isComplete(status, headers);
      const isWebPage = bareMediaType(headers.get("content-type")) === QUIRKS.webPageMediaType;
      const isAbsent = request.absent?.has(status) ?? false;
      const lacksEndpoint = isAbsent || (request.absent !== undefined && isSuccess && isWebPage);
      if (!isSuccess || lacksEndpoint) {
        await discard(response.body);
        throw faultFromStatus(lacksEndpoint ? 404 : status, headers, {
          upstream: name,
          ...subject,
        });
      }
      if (isWebPage) {
        await response.body?.cancel();
        throw this.invalidResponse(`a web page in place of ${subject.resource} ${subject.name}`);
      }
      if (request.permit === "blob") {
        void response.ended.then((end) => recordBodyEnd(host, end));
      }
      const bodyTimeout = host.isMirror ? timeout : SMALL_BODY_TIMEOUT;
      return handle({ ...response, host, url: request.url, timeout: bodyTimeout });
    });
  }

  /** The fault of a request, with what became of the credentials: a token endpoint's has none yet. */
  #completed(host: Host, error: unknown): unknown {
    if (!(error instanceof Fault) || error.detail.kind !== "upstream-denied") return error;
    const credentials = error.detail.credentials ?? this.#transport.keyring.use(host.settings);
    return new Fault({ ...error.detail, credentials }, { cause: error.cause });
  }

  /** Runs a request and records its outcome in the host's circuit breakers and rate limits. */
  async #recordOutcome<T>(
    host: Host,
    request: HostRequest,
    trace: HopTrace,
    run: () => Promise<T>,
  ): Promise<T> {
    const limitKind = rateLimitKind(request.kind);
    // Read only when it is needed: a credential helper may have run during the request.
    const account = (): string => (host.isMirror ? ANONYMOUS : this.#account);
    try {
      const result = await run().catch((error: unknown) => {
        throw this.#completed(host, error);
      });
      trace.circuit.succeeded();
      host.skipped.answered(request);
      if (limitKind === "metadata") host.limits.succeeded(account());
      return result;
    } catch (error) {
      if (!(error instanceof Fault) || request.isExtra) {
        trace.circuit.abandoned();
        throw error;
      }
      const { detail } = error;
      // What HEAD returns says nothing about GET.
      const question = request.method === "HEAD" ? undefined : request;
      if (!trace.isBlocked) trace.circuit.failed(error, question);
      const isInvalid = detail.kind === "upstream-invalid-response" && !isMalformedManifest(error);
      const isServerError = detail.kind === "upstream-failed" && detail.status >= 500;
      // A list says nothing about content, which its digest proves.
      if (isInvalid && limitKind !== "list") {
        reportCorrupt(host, error, this.#transport.observe);
      } else if (host.isMirror && question && (isInvalid || isServerError)) {
        host.skipped.failed(question);
      }
      if (detail.kind === "upstream-rate-limited") {
        host.limits.rateLimited(account(), limitKind, detail.retryAfter);
      }
      if (detail.kind === "not-found" && limitKind === "metadata") {
        host.limits.succeeded(account());
      }
      throw error;
    }
  }
}

/**
 * A body that breaks counts against a mirror, because other hosts may do better. Against the registry
 * itself it does not: it says nothing about other blobs, and a fill resumes at its offset.
 */
function recordBodyEnd({ blobCircuit, isMirror }: Host, { outcome, fault }: BodyEnd): void {
  if (!isMirror) return;
  if (outcome === "complete") blobCircuit.bodyCompleted();
  if (fault) blobCircuit.bodyBroke(fault);
}

/**
 * A malformed manifest may be what was pushed. It counts against a mirror only if another host then sends
 * a valid one.
 */
function isMalformedManifest({ cause }: Fault): boolean {
  return cause instanceof ManifestError;
}

/**
 * Whether the response cannot be verified by a digest in the path. Digests contain a colon, and tags
 * cannot.
 */
function isUnverifiable({ path }: HostRequest): boolean {
  return !path.includes(":") || path.startsWith("referrers/");
}
