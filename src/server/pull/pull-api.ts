import type { Cache } from "../../cache/cache.ts";
import type { CacheStatus } from "../../cache/cache-status.ts";
import { Deadline } from "../../cache/deadline.ts";
import { Fault } from "../../oci/fault.ts";
import { handleBlob } from "./blob-handler.ts";
import { errorResponse, faultResponse } from "./errors.ts";
import { handleCatalog, handleReferrers, handleTags } from "./list-handlers.ts";
import { handleManifest } from "./manifest-handler.ts";
import type { Namespaces } from "./namespaces.ts";
import { API_VERSION } from "./headers.ts";
import type { ResponseCache, ResponseKey } from "./response-cache.ts";
import { Queries } from "./queries.ts";
import { parseRoute, type Route } from "./route.ts";
import { RequestContext } from "./request-context.ts";

/** Within this, in seconds, a client has the head of an answer: containerd waits 30, or for ever. */
const HEAD_DEADLINE = 20;

export interface IncomingRequest extends Omit<ResponseKey, "url"> {
  readonly request: Request;
  /** The client's address, without its port. */
  readonly address: string;
  setIdleTimeout(seconds: number): void;
}

/** A request that was answered, for logs and metrics. */
export interface RequestRecord {
  readonly method: string;
  readonly path: string;
  readonly address: string;
  readonly userAgent: string;
  readonly status: number;
  /** Of the body. */
  readonly bytes: number;
  readonly milliseconds: number;
  /** Absent where the request was refused before it was understood. */
  readonly route?: Route;
  /** How the cache came by the answer. */
  readonly result?: CacheStatus["result"] | "collapsed";
  /** Why it failed, for the operator. */
  readonly error?: string;
  /** An error that no fault describes, with its stack. */
  readonly defect?: unknown;
}

export interface PullApiOptions {
  readonly cache: Cache;
  readonly namespaces: Namespaces;
  readonly known: ResponseCache;
  readonly record: (record: RequestRecord) => void;
}

/** The distribution API, pull side: the verb, the grammar and the namespace are each checked once, here. */
export class PullApi {
  readonly #cache: Cache;
  readonly #namespaces: Namespaces;
  readonly #known: ResponseCache;
  readonly #record: (record: RequestRecord) => void;
  readonly #deadline = new Deadline(HEAD_DEADLINE * 1000);
  readonly #queries = new Queries();

  constructor({ cache, namespaces, known, record }: PullApiOptions) {
    this.#cache = cache;
    this.#namespaces = namespaces;
    this.#known = known;
    this.#record = record;
  }

  answer(arrival: IncomingRequest): Response | Promise<Response> {
    return this.#fromCache(arrival) ?? this.#handle(arrival);
  }

  /** What was answered to the same question a moment ago, as long as it is still right. */
  #fromCache({ request, segments, port, address }: IncomingRequest): Response | undefined {
    if (request.method !== "GET") return undefined;
    const started = performance.now();
    const { headers } = request;
    const question = { url: request.url, segments, port };
    const known = this.#known.find(question, headers.get("accept"), Date.now());
    if (!known || headers.has("range") || headers.has("if-none-match")) return undefined;
    const { route, path, size, digest } = known;
    this.#cache.recordAccess(digest);
    this.#record({
      method: "GET",
      path,
      address,
      userAgent: headers.get("user-agent") ?? "",
      status: 200,
      bytes: size,
      milliseconds: performance.now() - started,
      route,
      result: "hit",
    });
    return new Response(known.body, known);
  }

  async #handle(arrival: IncomingRequest): Promise<Response> {
    const started = performance.now();
    const { moment } = this.#known;
    const { request, segments, port } = arrival;
    const { path, query } = this.#queries.split(request.url);
    const setIdleTimeout = (seconds: number): void => arrival.setIdleTimeout(seconds);
    const context = new RequestContext({ request, path, query, setIdleTimeout });
    let route: Route | undefined;
    let response: Response;
    let defect: unknown;
    try {
      if (request.method !== "GET" && request.method !== "HEAD") {
        throw new Fault({ kind: "read-only", method: request.method });
      }
      route = parseRoute({ segments, query, port }, this.#namespaces);
      response = await this.#inTime(route, context);
      const { whole } = context;
      if (whole) {
        // A copy: what is said of one connection is not for all others.
        const headers = new Headers(response.headers);
        const known = { ...whole, route, path, headers };
        this.#known.keep({ url: request.url, segments, port }, known, moment);
      }
    } catch (error) {
      if (error instanceof Fault) {
        context.failed(error);
        response = faultResponse(error, request.method);
      } else {
        defect = error;
        const message = "something went wrong inside the cache; its log says what";
        response = errorResponse(request.method, 500, "UNAVAILABLE", message);
      }
    }
    const record = (): void => {
      const { cacheStatus } = context;
      const result = cacheStatus?.collapsed ? "collapsed" : cacheStatus?.result;
      this.#record({
        method: request.method,
        path,
        address: arrival.address,
        userAgent: request.headers.get("user-agent") ?? "",
        status: response.status,
        bytes: context.bytes,
        milliseconds: performance.now() - started,
        ...(route ? { route } : {}),
        ...(result ? { result } : {}),
        ...(context.fault ? { error: context.fault.message } : {}),
        ...(defect === undefined ? {} : { defect }),
      });
    };
    if (context.finished) void context.finished.then(record);
    else record();
    return response;
  }

  async #inTime(route: Route, context: RequestContext): Promise<Response> {
    const answering = this.#dispatch(route, context);
    const response = await this.#deadline.within(answering);
    if (response) return response;
    // What was begun goes on: the next one who asks may find it here. The late answer itself is
    // nobody's, and may hold a connection.
    answering.then((late) => late.body?.cancel()).catch(() => {});
    const upstream = route.kind === "base" ? "the cache" : route.upstream.settings.name;
    const waitedFor = "give a complete answer";
    throw new Fault({ kind: "upstream-timeout", upstream, waitedFor, seconds: HEAD_DEADLINE });
  }

  async #dispatch(route: Route, context: RequestContext): Promise<Response> {
    switch (route.kind) {
      case "base":
        return new Response(context.isHead ? null : "{}\n", {
          headers: { ...API_VERSION, "content-type": "application/json", "content-length": "3" },
        });
      case "manifest":
        return handleManifest(this.#cache.manifests, route, context);
      case "blob":
        return handleBlob(this.#cache.blobs, route, context);
      case "tags":
        return handleTags(this.#cache, route, context);
      case "referrers":
        return handleReferrers(this.#cache, route, context);
      case "catalog":
        return handleCatalog(this.#cache, route.upstream, context);
    }
  }
}
