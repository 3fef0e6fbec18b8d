/** How an answer came about, in the words of RFC 9211 (Cache-Status). */
export interface CacheStatus {
  /** `hit`: from here alone; `miss`: fetched for this; `revalidated`: the upstream was asked and agreed. */
  readonly result: "hit" | "miss" | "revalidated" | "stale" | "bypass";
  /** Nothing came of it here: the upstream was only asked. */
  readonly forwarded?: boolean;
  /** It could not be stored. */
  readonly unstored?: boolean;
  /** Joined a fetch that another client had caused. */
  readonly collapsed?: boolean;
  /** The upstream's status where it answered something that could not be used. */
  readonly upstreamStatus?: number;
  /** Why stale content was served. */
  readonly reason?: string;
}

export const HIT: CacheStatus = { result: "hit" };
export const MISS: CacheStatus = { result: "miss" };
export const FORWARDED: CacheStatus = { result: "miss", forwarded: true };
export const COLLAPSED: CacheStatus = { result: "miss", collapsed: true };
export const UNSTORED: CacheStatus = { result: "miss", unstored: true };
/** Passed through, and not stored. */
export const BYPASS: CacheStatus = { result: "bypass" };
export const REVALIDATED: CacheStatus = { result: "revalidated" };
