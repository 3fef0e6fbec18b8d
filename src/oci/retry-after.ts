/** The longest wait that is accepted, in seconds. */
const MAX_SECONDS = 86_400;

/**
 * Parses Retry-After, a number or a date (RFC 9110 section 10.2.3), to seconds from 1 to a day; `undefined` if it
 * is neither.
 *
 * @param now milliseconds of the epoch
 */
export function retryAfter(header: string | null, now: number): number | undefined {
  const text = header?.trim() ?? "";
  const date = /^[a-z]{3,9},? /i.test(text) ? Date.parse(text) : Number.NaN;
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Math.ceil((date - now) / 1000);
  if (Number.isNaN(seconds)) return undefined;
  return Math.min(Math.max(seconds, 1), MAX_SECONDS);
}
