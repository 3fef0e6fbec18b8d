import { type Fault, isUnsent } from "../oci/fault.ts";

/** How a response came about, in the terms of RFC 9211 (Cache-Status). */
export interface CacheStatus {
  /**
   * - `hit`: served from the store alone.
   * - `miss`: forwarded to the upstream, since no stored response could be used (`fwd=miss`).
   * - `revalidated`: the stored response was stale, and the upstream confirmed it.
   * - `stale`: the stored response was stale, and is served without confirmation (RFC 5861).
   * - `bypass`: forwarded because the repository is configured to bypass the cache (`fwd=bypass`).
   */
  readonly result: "hit" | "miss" | "revalidated" | "stale" | "bypass";
  /**
   * The request went forward to the upstream, and nothing of its response was stored: a HEAD that the
   * upstream answered, or a request that failed, so that a stale response is served.
   */
  readonly forwarded?: boolean;
  /** A stored response was stale, and the upstream's replaced it (`fwd=stale` instead of `fwd=miss`). */
  readonly replaced?: boolean;
  /** The content was fetched, but could not be stored. */
  readonly unstored?: boolean;
  /** The request shared a fetch that another one had started (RFC 9211 section 2.6). */
  readonly collapsed?: boolean;
  /** With which status code the upstream answered before a stale response was served (`fwd-status`). */
  readonly upstreamStatus?: number;
  /** Why a stale response was served. */
  readonly reason?: string;
  /** Why the tag is not served as its registry says: a sentence for people. */
  readonly held?: string;
}

export const HIT: CacheStatus = { result: "hit" };
export const MISS: CacheStatus = { result: "miss" };
export const FORWARDED: CacheStatus = { result: "miss", forwarded: true };
export const COLLAPSED: CacheStatus = { result: "miss", collapsed: true };
export const UNSTORED: CacheStatus = { result: "miss", unstored: true };
export const BYPASS: CacheStatus = { result: "bypass" };
export const REVALIDATED: CacheStatus = { result: "revalidated" };
export const REPLACED: CacheStatus = { result: "miss", replaced: true };

/** The status of a stale response that is served because the request to the upstream failed. */
export function staleAfter(fault: Fault): CacheStatus {
  const { message, detail } = fault;
  const status = "status" in detail ? detail.status : undefined;
  const upstreamStatus = detail.kind === "upstream-rate-limited" ? 429 : status;
  return {
    result: "stale",
    reason: message,
    ...(isUnsent(fault) ? {} : { forwarded: true }),
    ...(upstreamStatus === undefined ? {} : { upstreamStatus }),
  };
}
