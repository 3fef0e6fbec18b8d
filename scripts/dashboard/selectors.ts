/** What the variables at the top of the dashboard select. */
export const CACHE = 'job=~"$job", instance=~"$instance"';
export const UPSTREAM = `${CACHE}, upstream=~"$upstream"`;

/** The window of a rate, which Grafana chooses by the time between two scrapes. */
export const WINDOW = "$__rate_interval";

/** Cache results of what did not have to be fetched. */
export const SERVED = 'result=~"hit|revalidated|stale|collapsed"';

/** A part of a whole, and nothing while there is no whole. */
export function ratio(part: string, whole: string): string {
  return `${part} / (${whole} > 0)`;
}
