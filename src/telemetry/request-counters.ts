import type { Counted } from "./counters.ts";

export type RequestedKind = "manifest" | "blob" | "tags" | "referrers" | "catalog" | "other";

/** How the cache came by an answer. */
export type CacheResult = "hit" | "miss" | "stale" | "join" | "revalidated" | "bypass";

/** A request that was answered on a node-facing port. */
export interface RequestSample {
  /** Absent where the request never got as far as an upstream. */
  readonly upstream?: string | undefined;
  readonly kind: RequestedKind;
  readonly method: string;
  readonly status: number;
  /** Absent where the cache had no part in it. */
  readonly result?: CacheResult | undefined;
  /** Of the body. */
  readonly bytes: number;
  readonly seconds: number;
}

/** More combinations than that mean that something unbounded got into a label. */
const MAX_SERIES = 5000;

/** Label of what is beyond. */
const OVERFLOW = "other";

/** Label of a request that has no upstream: a bad path, an unknown namespace. */
const NO_UPSTREAM = "none";

/** A method is whatever a client sends: only known ones become labels. */
const METHODS = new Set(["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]);

/** Requests that are alike. */
interface Series {
  readonly upstream: string;
  readonly kind: RequestedKind;
  readonly method: string;
  readonly status: string;
  readonly result: CacheResult | undefined;
  count: number;
  bytes: number;
}

/** All that is counted of a request, with one look-up: every answer comes by here. */
export class RequestCounters {
  readonly #series = new Map<string, Series>();

  add(fact: RequestSample): void {
    const series = this.#seriesOf(fact);
    series.count += 1;
    series.bytes += fact.bytes;
  }

  /** By upstream, kind, method and status. */
  *counts(): Generator<Counted> {
    for (const { upstream, kind, method, status, count } of this.#series.values()) {
      yield { labels: [upstream, kind, method, status], value: count };
    }
  }

  /** By upstream. */
  *bytes(): Generator<Counted> {
    for (const { upstream, bytes } of this.#series.values()) {
      if (bytes > 0) yield { labels: [upstream], value: bytes };
    }
  }

  /** By upstream, kind and result. */
  *results(): Generator<Counted> {
    for (const { upstream, kind, result, count } of this.#series.values()) {
      if (result) yield { labels: [upstream, kind, result], value: count };
    }
  }

  /** Of one upstream: answers by how the cache came by them, and bytes that were sent. */
  of(upstream: string): { answers: Map<CacheResult, number>; sent: number } {
    const answers = new Map<CacheResult, number>();
    let sent = 0;
    for (const series of this.#series.values()) {
      if (series.upstream !== upstream) continue;
      sent += series.bytes;
      const { result, count } = series;
      if (result) answers.set(result, (answers.get(result) ?? 0) + count);
    }
    return { answers, sent };
  }

  #seriesOf(fact: RequestSample, upstream: string = fact.upstream ?? NO_UPSTREAM): Series {
    const { kind, status, result } = fact;
    const method = METHODS.has(fact.method) ? fact.method : "other";
    const key = `${upstream} ${kind} ${method} ${status} ${result}`;
    const known = this.#series.get(key);
    if (known) return known;
    const isFull = this.#series.size >= MAX_SERIES && upstream !== OVERFLOW;
    if (isFull) return this.#seriesOf(fact, OVERFLOW);
    const series = { upstream, kind, method, status: String(status), result, count: 0, bytes: 0 };
    this.#series.set(key, series);
    return series;
  }
}
