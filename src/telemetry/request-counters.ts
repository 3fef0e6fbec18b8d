import type { CounterValue } from "./counters.ts";

export type RequestedKind = "manifest" | "blob" | "tags" | "referrers" | "catalog" | "other";

/**
 * How the cache produced a response. `collapsed`: the request waited for another client's request for the
 * same object (RFC 9211 section 2.6).
 */
export type CacheResult = "hit" | "miss" | "stale" | "collapsed" | "revalidated" | "bypass";

/** A completed request on a node-facing port. */
export interface RequestSample {
  /** Absent if the request was rejected before its upstream was known. */
  readonly upstream?: string | undefined;
  readonly kind: RequestedKind;
  readonly method: string;
  readonly status: number;
  /** Absent if the response did not involve the cache. */
  readonly result?: CacheResult | undefined;
  /** What was decided about who asked, one of a few; absent if nothing was. */
  readonly access?: string | undefined;
  /** Bytes of the response body. */
  readonly bytes: number;
  /** From the arrival of the request until its response began. */
  readonly secondsToFirstByte: number;
  /** From the arrival of the request to the end of the response body. */
  readonly seconds: number;
}

/** Responses of the same kind and cache result. */
export interface Responses {
  readonly upstream: string;
  readonly kind: RequestedKind;
  readonly result: CacheResult;
  readonly count: number;
  /** Of their bodies. */
  readonly bytes: number;
}

/** Limits label cardinality: more combinations mean that a label has unbounded values. */
const MAX_SERIES = 5000;

/** Upstream label of requests over the limit. */
const OVERFLOW_UPSTREAM = "other";

/** Upstream label of requests without an upstream: an invalid path, an unknown namespace. */
const NO_UPSTREAM = "none";

/** Clients may send any method. Only known ones become label values, to limit cardinality. */
const METHODS = new Set(["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]);

/** Totals of the requests with the same labels. */
interface Series {
  readonly upstream: string;
  readonly kind: RequestedKind;
  readonly method: string;
  readonly status: string;
  readonly result: CacheResult | undefined;
  readonly access: string | undefined;
  count: number;
  bytes: number;
  seconds: number;
}

/** What was sent to clients of one upstream since the process started. Errors are not counted. */
export interface RequestTotals {
  /** Responses that could come from the cache: all but bypassed ones. */
  readonly cacheable: number;
  /** Of these, those without content from the upstream: hits, revalidated, stale and collapsed ones. */
  readonly fromCache: number;
  /** Of these, complete manifests: the upstream would have counted a GET. */
  readonly manifestsFromCache: number;
  /** Bytes of all bodies, bypassed ones included. */
  readonly sentBytes: number;
  readonly bytesFromCache: number;
  /** From the arrival of a request to the end of its response, summed up. */
  readonly secondsFromCache: number;
}

const FROM_CACHE: ReadonlySet<CacheResult | undefined> = new Set([
  "hit",
  "revalidated",
  "stale",
  "collapsed",
]);

export const NO_REQUESTS: RequestTotals = {
  cacheable: 0,
  fromCache: 0,
  manifestsFromCache: 0,
  sentBytes: 0,
  bytesFromCache: 0,
  secondsFromCache: 0,
};

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/** All counters of client requests. Adding a request costs one map look-up, since this is a hot path. */
export class RequestCounters {
  readonly #series = new Map<string, Series>();

  add(sample: RequestSample): void {
    const series = this.#seriesOf(sample);
    series.count += 1;
    series.bytes += sample.bytes;
    series.seconds += sample.seconds;
  }

  /** Requests by upstream, kind, method and status. */
  *counts(): Generator<CounterValue> {
    for (const { upstream, kind, method, status, count } of this.#series.values()) {
      yield { labels: [upstream, kind, method, status], value: count };
    }
  }

  /** Bytes of response bodies by upstream. */
  *bytes(): Generator<CounterValue> {
    for (const { upstream, bytes } of this.#series.values()) {
      if (bytes > 0) yield { labels: [upstream], value: bytes };
    }
  }

  /** Requests by upstream, kind and cache result. */
  *results(): Generator<CounterValue> {
    for (const { upstream, kind, result, count } of this.responses()) {
      yield { labels: [upstream, kind, result], value: count };
    }
  }

  /** Requests by upstream, and what was decided about who asked. */
  *decisions(): Generator<CounterValue> {
    for (const { upstream, access, count } of this.#series.values()) {
      if (access !== undefined) yield { labels: [upstream, access], value: count };
    }
  }

  /** Responses that involved the cache, in no order. Several may have the same kind and result. */
  *responses(): Generator<Responses> {
    for (const { upstream, kind, result, count, bytes } of this.#series.values()) {
      if (result) yield { upstream, kind, result, count, bytes };
    }
  }

  /**
   * Totals of one upstream: responses by cache result, and the bytes of their bodies. Errors are neither
   * served nor saved.
   */
  totalsOf(upstream: string): {
    responses: Map<CacheResult, number>;
    sentBytes: number;
  } {
    const responses = new Map<CacheResult, number>();
    let sentBytes = 0;
    for (const { upstream: name, result, count, bytes } of this.responses()) {
      if (name !== upstream) continue;
      sentBytes += bytes;
      responses.set(result, (responses.get(result) ?? 0) + count);
    }
    return { responses, sentBytes };
  }

  /** Of each upstream that was asked for anything. */
  totals(): ReadonlyMap<string, RequestTotals> {
    const all = new Map<string, Mutable<RequestTotals>>();
    for (const {
      upstream,
      kind,
      method,
      status,
      result,
      count,
      bytes,
      seconds,
    } of this.#series.values()) {
      if (!result) continue;
      const totals = all.get(upstream) ?? { ...NO_REQUESTS };
      all.set(upstream, totals);
      totals.sentBytes += bytes;
      if (result !== "bypass") totals.cacheable += count;
      if (!FROM_CACHE.has(result)) continue;
      totals.fromCache += count;
      totals.bytesFromCache += bytes;
      totals.secondsFromCache += seconds;
      const isManifest = kind === "manifest" && method === "GET" && status === "200";
      if (isManifest) totals.manifestsFromCache += count;
    }
    return all;
  }

  #seriesOf(sample: RequestSample, upstream: string = sample.upstream ?? NO_UPSTREAM): Series {
    const { kind, status, result, access } = sample;
    const method = METHODS.has(sample.method) ? sample.method : "other";
    const key = `${upstream} ${kind} ${method} ${status} ${result} ${access}`;
    const existing = this.#series.get(key);
    if (existing) return existing;
    const isFull = this.#series.size >= MAX_SERIES && upstream !== OVERFLOW_UPSTREAM;
    if (isFull) return this.#seriesOf(sample, OVERFLOW_UPSTREAM);
    const series = {
      upstream,
      kind,
      method,
      status: String(status),
      result,
      access,
      count: 0,
      bytes: 0,
      seconds: 0,
    };
    this.#series.set(key, series);
    return series;
  }
}
