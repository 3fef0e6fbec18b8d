import { DAY_MS } from "../store/history-store.ts";

/** Of less than that, no trend is made, in milliseconds. */
const MIN_SPAN = DAY_MS / 4;
/** A disk that fills more slowly is not going to be full. */
const MAX_DAYS = 365;

interface Measured {
  /** In milliseconds of the epoch. */
  readonly at: number;
  /** In bytes. */
  readonly used: number;
}

/**
 * In how many days `used` reaches `max` if it grows on as it did, by the line of least squares.
 *
 * @returns undefined if it does not grow, not for a year, or too little is known
 */
export function daysUntilFull(measured: readonly Measured[], max: number): number | undefined {
  const last = measured.at(-1);
  const first = measured[0];
  if (!first || !last || last.at - first.at < MIN_SPAN) return undefined;
  if (last.used >= max) return 0;
  const days = measured.map(({ at }) => (at - first.at) / DAY_MS);
  const meanDay = mean(days);
  const meanUsed = mean(measured.map(({ used }) => used));
  let covariance = 0;
  let variance = 0;
  for (const [index, { used }] of measured.entries()) {
    const day = (days[index] ?? 0) - meanDay;
    covariance += day * (used - meanUsed);
    variance += day * day;
  }
  const perDay = covariance / variance;
  if (perDay <= 0) return undefined;
  const left = (max - last.used) / perDay;
  return left > MAX_DAYS ? undefined : left;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
