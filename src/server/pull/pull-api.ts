import type { Cache } from "../../cache/cache.ts";
import type { BrokenResponses } from "../../cache/repair/broken-responses.ts";
import { Deadline } from "../../cache/deadline.ts";
import { Fault } from "../../oci/fault.ts";
import type { DiskTimes } from "../../store/disk-times.ts";
import type { Tracer } from "../../telemetry/tracing/tracer.ts";
import type { Admission } from "./admission/admission.ts";
import { grantOf } from "./admission/decision.ts";
import type { BlobRedirects } from "./blob-redirects.ts";
import { Dispatcher } from "./dispatcher.ts";
import { faultResponse } from "./errors.ts";
import type { FileSends } from "./file-sends.ts";
import type { IncomingRequest } from "./incoming-request.ts";
import type { Namespaces } from "./namespaces.ts";
import { Queries } from "./queries.ts";
import { RequestContext } from "./request-context.ts";
import { heldOf, recordOf, type RequestRecord } from "./request-record.ts";
import type { ResponseCache, ResponseKey } from "./response-cache.ts";
import { parseRoute, type Route } from "./route.ts";

/** A client gets response headers within this time, in seconds: containerd waits 30, or for ever. */
const HEADERS_DEADLINE = 20;

/** If the disk kept others waiting for less than this meanwhile, it is not to blame, in milliseconds. */
const MIN_DISK_MS = 5000;

export interface PullApiOptions {
  readonly cache: Cache;
  readonly admission: Admission;
  readonly namespaces: Namespaces;
  readonly responses: ResponseCache;
  readonly fileSends: FileSends;
  readonly times: DiskTimes;
  readonly broken: BrokenResponses;
  /** Absent if all blobs are sent from here. */
  readonly redirects?: BlobRedirects | undefined;
  /** Absent: nothing is traced. */
  readonly tracer?: Tracer | undefined;
  /** Called once for each request: at the end of its body, if that is streamed or sent from a file. */
  readonly record: (record: RequestRecord) => void;
}

/** The pull side of the distribution API. Method, path and namespace of a request are checked here. */
export class PullApi {
  readonly #cache: Cache;
  readonly #admission: Admission;
  readonly #namespaces: Namespaces;
  readonly #dispatcher: Dispatcher;
  readonly #responses: ResponseCache;
  readonly #fileSends: FileSends;
  readonly #times: DiskTimes;
  readonly #broken: BrokenResponses;
  readonly #tracer: Tracer | undefined;
  readonly #record: (record: RequestRecord) => void;
  readonly #deadline = new Deadline(HEADERS_DEADLINE * 1000);
  readonly #queries = new Queries();

  constructor(options: PullApiOptions) {
    const { cache, namespaces, responses, fileSends, times, broken, record } = options;
    this.#cache = cache;
    this.#admission = options.admission;
    this.#namespaces = namespaces;
    this.#responses = responses;
    this.#fileSends = fileSends;
    this.#times = times;
    this.#broken = broken;
    this.#dispatcher = new Dispatcher(options);
    this.#tracer = options.tracer;
    this.#record = record;
  }

  /** Never rejects: whatever goes wrong becomes a response. */
  handle(incoming: IncomingRequest): Response | Promise<Response> {
    return this.#handleRepeated(incoming) ?? this.#handle(incoming);
  }

  /** Sends the response of a moment ago to the same request, if that is still valid. */
  #handleRepeated(incoming: IncomingRequest): Response | undefined {
    const { request, address } = incoming;
    if (request.method !== "GET") return undefined;
    const startedAt = performance.now();
    const { headers } = request;
    const cached = this.#responses.getFor(
      keyOf(incoming),
      { accept: headers.get("accept"), viewer: () => this.#admission.viewerOf(headers) },
      Date.now(),
    );
    if (!cached || headers.has("range") || headers.has("if-none-match")) return undefined;
    incoming.sender?.keep(cached, this.#responses.snapshot);
    this.#cache.recordAccess(cached.digest);
    const span = this.#tracer?.pull("GET", headers.get("traceparent"));
    const milliseconds = performance.now() - startedAt;
    this.#record({
      method: "GET",
      path: cached.path,
      address,
      userAgent: headers.get("user-agent") ?? "",
      status: 200,
      bytes: cached.size,
      millisecondsToFirstByte: milliseconds,
      milliseconds,
      route: cached.route,
      digest: cached.digest,
      result: "hit",
      span,
      access: cached.access,
      ...(cached.principal === undefined ? {} : { principal: cached.principal }),
      ...(cached.held === undefined ? {} : { held: cached.held }),
    });
    return new Response(cached.body, { headers: cached.headers });
  }

  async #handle(incoming: IncomingRequest): Promise<Response> {
    const { request, address } = incoming;
    const { path, query } = this.#queries.split(request.url);
    const setIdleTimeout = (seconds: number): void => incoming.setIdleTimeout(seconds);
    const context = new RequestContext({ request, path, query, address, setIdleTimeout });
    context.span = this.#tracer?.pull(request.method, request.headers.get("traceparent"));
    const response = await this.#look(incoming, context).catch((error: unknown) =>
      failed(context, error),
    );
    context.millisecondsToFirstByte = performance.now() - context.startedAt;
    if (context.isStreamed) incoming.sender?.streams();
    const record = (): void => this.#record(recordOf(context, response.status));
    if (context.bodyEnded) void context.bodyEnded.then(record);
    else if (context.sentFrom) this.#follow(incoming, context, context.sentFrom, record);
    else record();
    return response;
  }

  /** The look-up of a pull that is traced is a span of its own: until the response begins. */
  async #look(incoming: IncomingRequest, context: RequestContext): Promise<Response> {
    const lookup = context.span?.child("lookup");
    if (!lookup || !this.#tracer) return this.#respond(incoming, context);
    try {
      return await this.#tracer.within(lookup, () => this.#respond(incoming, context));
    } catch (error) {
      lookup.fail(error instanceof Error ? error.message : String(error));
      throw error;
    } finally {
      lookup.end();
    }
  }

  #follow(
    { request, isOpen, sender }: IncomingRequest,
    context: RequestContext,
    { digest, first }: NonNullable<RequestContext["sentFrom"]>,
    record: () => void,
  ): void {
    const send = {
      size: context.bytes,
      ended: (bytes: number): void => {
        context.setBodySize(bytes);
        record();
      },
      brokeOff: (sent: number, isExact: boolean): void =>
        this.#broken.brokeOff({ digest, first, at: first + sent, isExact }),
    };
    if (sender) sender.follow(send);
    else this.#fileSends.follow({ ...send, signal: request.signal, isOpen });
  }

  /** @throws Fault */
  async #respond(incoming: IncomingRequest, context: RequestContext): Promise<Response> {
    const { snapshot } = this.#responses;
    const { request, segments, port } = incoming;
    const { path, query } = context;
    if (request.method !== "GET" && request.method !== "HEAD") {
      const isToken = segments.length === 1 && segments[0] === "token";
      throw new Fault({ kind: "read-only", method: request.method, isToken });
    }
    const route = parseRoute({ segments, query, port }, this.#namespaces);
    context.route = route;
    const response = await this.#withinDeadline(
      route,
      this.#dispatcher.respond(route, incoming, context),
    );
    const { admitted, reusable } = context;
    if (reusable) {
      // A copy: headers such as Connection, which the port may add, are for one client.
      const headers = new Headers(response.headers);
      const { viewer, principal, from = -Infinity, until = Infinity } = admitted ?? {};
      const by = {
        access: admitted && "repo" in route ? grantOf(route, admitted) : "open",
        ...(principal === undefined ? {} : { principal }),
        ...(viewer ? { viewer } : {}),
        ...heldOf(context),
      };
      const window = {
        from: Math.max(reusable.from, from),
        until: Math.min(reusable.until, until),
      };
      const bounded = { ...reusable, ...by, ...window };
      const cached = { ...bounded, route, path, headers };
      const key = { ...keyOf(incoming), viewer };
      // Nobody else has an empty name, and nobody is found by it.
      if (viewer !== "") this.#responses.set(key, cached, snapshot);
      if (viewer !== "") incoming.sender?.keep(cached, snapshot);
    }
    return response;
  }

  async #withinDeadline(route: Route, responding: Promise<Response>): Promise<Response> {
    const response = await this.#deadline.within(responding);
    if (response) return response;
    // What was started continues, so that a later request may find it stored. The late response has
    // no client any more, and may occupy a connection to the upstream.
    responding.then((late) => late.body?.cancel()).catch(() => {});
    throw this.#tooLate(route);
  }

  /** The fault of a response that took too long: whichever has kept it waiting for longer is to blame. */
  #tooLate(route: Route): Fault {
    const seconds = HEADERS_DEADLINE;
    const ofDisk = this.#times.slowWithin(seconds * 1000);
    const upstream = "upstream" in route ? route.upstream.registry : undefined;
    const ofUpstream = upstream?.waitedWithin(seconds * 1000) ?? 0;
    if (ofDisk >= MIN_DISK_MS && ofDisk > ofUpstream)
      return new Fault({ kind: "slow-disk", seconds });
    const waitedFor = "send a complete response";
    const name = upstream?.name ?? "the cache";
    return new Fault({ kind: "upstream-timeout", upstream: name, waitedFor, seconds });
  }
}

function keyOf({ request, segments, port }: IncomingRequest): ResponseKey {
  return { url: request.url, segments, port };
}

function failed(context: RequestContext, error: unknown): Response {
  let fault: Fault;
  if (error instanceof Fault) {
    fault = error;
    context.fault = error;
  } else {
    fault = new Fault({ kind: "internal", reason: String(error) });
    context.defect = error;
  }
  const response = faultResponse(fault, context.request.method);
  context.sentFrom = undefined;
  context.isStreamed = false;
  context.setBodySize(Number(response.headers.get("content-length")));
  return response;
}
