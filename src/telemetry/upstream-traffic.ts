import type { CacheResult, RequestedKind, RequestTotals } from "./request-counters.ts";

/** A request from the cache to an upstream. Each redirect and each retry is a request of its own. */
export interface UpstreamSample {
  readonly upstream: string;
  readonly kind: Exclude<RequestedKind, "catalog"> | "token" | "probe";
  /**
   * The HTTP status; `failed` if there was no response, `aborted` if the cache cancelled the request, `unsent`
   * if a limit of this machine kept it from being sent.
   */
  readonly status: number | "failed" | "aborted" | "unsent";
}

/** The traffic of one upstream since the process started. */
export interface Traffic {
  /** Responses to clients by cache result. */
  readonly responses: ReadonlyMap<CacheResult, number>;
  /** Bytes of response bodies sent to clients. */
  readonly sentBytes: number;
  /** Bytes of response bodies received from the upstream. */
  readonly fetchedBytes: number;
  /**
   * Bytes that clients got and that were not downloaded for it: the most by which those sent have exceeded
   * those received. It never falls, also while a blob is downloaded of which nobody has got anything yet.
   */
  readonly savedBytes: number;
}

/** What an upstream's clients got since the process started, and what was received for that. */
export interface UpstreamTotals extends RequestTotals {
  readonly fetchedBytes: number;
}
