export const RATE_LIMIT_KINDS = ["blob", "list", "metadata"] as const;

/**
 * Blobs, lists (tags, referrers) and manifests are limited separately: another host often serves the
 * blobs, and many registries limit their lists more strictly.
 */
export type RateLimitKind = (typeof RATE_LIMIT_KINDS)[number];

/** The requests that a registry still allows, as its rate-limit headers reported. */
export interface Budget {
  readonly remaining: number;
  readonly limit?: number;
  /** The window that both numbers are for, in seconds. */
  readonly window: number;
}
