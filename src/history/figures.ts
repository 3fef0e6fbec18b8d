import { FIGURES, type Figures, NO_FIGURES } from "../store/history-store.ts";
import type { UpstreamTotals } from "../telemetry/upstream-traffic.ts";
import type { ActivityTotals } from "./upstream-activity.ts";

/** All that is counted of an upstream since the process started. */
export interface Counted {
  readonly traffic?: UpstreamTotals | undefined;
  readonly activity?: ActivityTotals | undefined;
}

/** How fast an upstream is, as far as that is known. */
export type Speed = Pick<
  Figures,
  "answered" | "answered_ms" | "downloaded_bytes" | "downloaded_ms"
>;

/** What has happened between two counts. */
export function difference(now: Counted, before: Counted, known: Speed): Figures {
  const since = plus(figuresOf(now), figuresOf(before), -1);
  const speed = {
    answered: known.answered + since.answered,
    answered_ms: known.answered_ms + since.answered_ms,
    downloaded_bytes: known.downloaded_bytes + since.downloaded_bytes,
    downloaded_ms: known.downloaded_ms + since.downloaded_ms,
  };
  return { ...since, saved_ms: savedTime(since, now, before, speed) };
}

/**
 * By how much responses from the cache were faster than the upstream. Each would have waited for the upstream's
 * headers, and for its bytes at the speed at which the upstream sends them. Without a download, that speed is
 * unknown, and bytes count nothing. Where the cache was slower, nothing was saved.
 */
function savedTime(
  { from_cache: responses }: Figures,
  { traffic: now }: Counted,
  { traffic: before }: Counted,
  speed: Speed,
): number {
  const bytes = (now?.bytesFromCache ?? 0) - (before?.bytesFromCache ?? 0);
  const taken = 1000 * ((now?.secondsFromCache ?? 0) - (before?.secondsFromCache ?? 0));
  const perResponse = speed.answered === 0 ? 0 : speed.answered_ms / speed.answered;
  const perByte = speed.downloaded_bytes === 0 ? 0 : speed.downloaded_ms / speed.downloaded_bytes;
  return Math.max(0, Math.round(responses * perResponse + bytes * perByte - taken));
}

function figuresOf({ traffic, activity }: Counted): Figures {
  return {
    cacheable: traffic?.cacheable ?? 0,
    from_cache: traffic?.fromCache ?? 0,
    manifests_from_cache: traffic?.manifestsFromCache ?? 0,
    sent_bytes: traffic?.sentBytes ?? 0,
    fetched_bytes: traffic?.fetchedBytes ?? 0,
    saved_ms: 0,
    answered: activity?.answered ?? 0,
    failed: activity?.failed ?? 0,
    limited: activity?.limited ?? 0,
    answered_ms: Math.round(activity?.answeredMs ?? 0),
    downloaded_bytes: activity?.downloadedBytes ?? 0,
    downloaded_ms: Math.round(activity?.downloadedMs ?? 0),
  };
}

/** The sum of two, or one and so many times the other. */
export function plus(one: Figures, other: Figures, times = 1): Figures {
  const sum = { ...NO_FIGURES } as Record<keyof Figures, number>;
  for (const name of FIGURES) sum[name] = one[name] + times * other[name];
  return sum;
}

export function isNothing(figures: Figures): boolean {
  return FIGURES.every((name) => figures[name] === 0);
}

/** What was sent and need not be received, from 0 to 1; undefined if nothing was sent. */
export function ratioByBytes({ sent_bytes, fetched_bytes }: Figures): number | undefined {
  return sent_bytes === 0 ? undefined : Math.max(0, 1 - fetched_bytes / sent_bytes);
}

/** What was answered without content from the upstream, from 0 to 1; undefined if nothing was asked for. */
export function ratioByRequests({ cacheable, from_cache }: Figures): number | undefined {
  return cacheable === 0 ? undefined : from_cache / cacheable;
}
