import { Fault } from "../../oci/fault.ts";
import { QUIRKS } from "../quirks.ts";

export interface RequestSubject {
  readonly upstream: string;
  readonly what: "manifest" | "blob" | "repository";
  /** For messages: `library/nginx:1.27`. */
  readonly name: string;
  /** Whether it was asked with credentials, and what became of them; unset where that is unknown. */
  readonly credentials?: "none" | "used" | "refused";
}

/** In seconds; what a 429 without Retry-After means, and the longest that is believed. */
const DEFAULT_RETRY_AFTER = 60;
const MAX_RETRY_AFTER = 86_400;

/** The fault that a response other than a success means. */
export function faultFromStatus(
  status: number,
  headers: Headers,
  { upstream, what, name, credentials }: RequestSubject,
  now: number = Date.now(),
): Fault {
  if (QUIRKS.missingOrPrivateStatuses.has(status)) {
    const asked = credentials === undefined ? {} : { credentials };
    return new Fault({ kind: "upstream-denied", upstream, name, status, ...asked });
  }
  if (status === 404) return new Fault({ kind: "not-found", what, upstream, name });
  if (status === 429) {
    const after = retryAfter(headers.get("retry-after"), now);
    return new Fault({ kind: "upstream-rate-limited", upstream, retryAfter: after });
  }
  if (status === 416) {
    const size = /^bytes \*\/(\d{1,15})$/.exec(headers.get("content-range") ?? "")?.[1];
    return new Fault({
      kind: "invalid-range",
      reason: `${upstream} has no such bytes of ${name}`,
      ...(size === undefined ? {} : { size: Number(size) }),
    });
  }
  return new Fault({ kind: "upstream-failed", upstream, status });
}

/**
 * A Retry-After header in seconds, from 1 to a day: a number or a date (RFC 9110 section 10.2.3).
 *
 * @param now milliseconds of the epoch
 */
export function retryAfter(header: string | null, now: number): number {
  const text = header?.trim() ?? "";
  const date = /^[a-z]{3,9},? /i.test(text) ? Date.parse(text) : Number.NaN;
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Math.ceil((date - now) / 1000);
  if (Number.isNaN(seconds)) return DEFAULT_RETRY_AFTER;
  return Math.min(Math.max(seconds, 1), MAX_RETRY_AFTER);
}
