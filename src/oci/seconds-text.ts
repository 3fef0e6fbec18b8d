/**
 * A time for people, from a number that may be computed: `15 s` for 14.999999608999934, `1.5 s`,
 * `20 ms`. All messages with a time in them use it.
 */
export function secondsText(seconds: number): string {
  if (seconds < 0.9995) return `${Math.round(Math.max(0, seconds) * 1000)} ms`;
  return `${seconds < 9.95 ? Math.round(seconds * 10) / 10 : Math.round(seconds)} s`;
}
