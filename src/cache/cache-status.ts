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
  /** The request was only forwarded, and no content was fetched: a HEAD that the upstream answered. */
  readonly forwarded?: boolean;
  /** The content was fetched, but could not be stored. */
  readonly unstored?: boolean;
  /** The request shared a fetch that another one had started (RFC 9211 section 2.6). */
  readonly collapsed?: boolean;
  /** The upstream's status code, if it answered with an error (`fwd-status`). */
  readonly upstreamStatus?: number;
  /** Why a stale response was served. */
  readonly reason?: string;
}

export const HIT: CacheStatus = { result: "hit" };
export const MISS: CacheStatus = { result: "miss" };
export const FORWARDED: CacheStatus = { result: "miss", forwarded: true };
export const COLLAPSED: CacheStatus = { result: "miss", collapsed: true };
export const UNSTORED: CacheStatus = { result: "miss", unstored: true };
export const BYPASS: CacheStatus = { result: "bypass" };
export const REVALIDATED: CacheStatus = { result: "revalidated" };
