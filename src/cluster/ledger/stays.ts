import type { StayAges } from "../../cache/lookup/tag-news.ts";
import { joinedStays, thinnedStays, withStay } from "../../store/merged-stays.ts";
import { MAX_STAYS, type TagStay } from "../../store/tag-history.ts";

/** A stay on a ledger's clock, in milliseconds. When clients got it is a matter of each replica. */
export type SeenStay = Omit<TagStay, "firstServed">;

/** In characters. No host is longer. */
const MAX_SOURCE = 255;

/**
 * One history from what several replicas saw of a tag, the latest stay first; whoever tells first, or twice.
 *
 * @param now no stay is of a later moment: a clock was wrong
 */
export function mergeStays(
  known: readonly SeenStay[],
  told: readonly SeenStay[],
  now: number,
): SeenStay[] {
  const past = known.map((stay) => notAfter(stay, now));
  const all = told.reduce<TagStay[]>((stays, stay) => withStay(stays, notAfter(stay, now)), past);
  return [...thinnedStays(joinedStays(all), MAX_STAYS)];
}

export function staysOfAges(stays: readonly StayAges[], now: number): SeenStay[] {
  return stays.map(({ firstSeenAgeMs, lastSeenAgeMs, ...stay }) => {
    const [first, last] = [now - firstSeenAgeMs, now - lastSeenAgeMs];
    return { ...stay, firstSeen: Math.min(first, last), lastSeen: Math.max(first, last) };
  });
}

export function agesOfStays(stays: readonly SeenStay[], now: number): StayAges[] {
  return stays.map(({ digest, source, firstSeen, lastSeen }) => ({
    digest,
    ...(source !== undefined && { source }),
    firstSeenAgeMs: Math.max(0, Math.round(now - firstSeen)),
    lastSeenAgeMs: Math.max(0, Math.round(now - lastSeen)),
  }));
}

function notAfter({ digest, source, firstSeen, lastSeen }: SeenStay, now: number): SeenStay {
  return {
    digest,
    firstSeen: Math.min(firstSeen, now),
    lastSeen: Math.min(lastSeen, now),
    ...(source !== undefined && { source: source.slice(0, MAX_SOURCE) }),
  };
}
