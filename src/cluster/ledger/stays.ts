import type { StayAges } from "../../cache/lookup/tag-news.ts";
import type { TagStay } from "../../store/tag-history.ts";

/** A stay on a ledger's clock, in milliseconds. When clients got it is a matter of each replica. */
export type SeenStay = Omit<TagStay, "firstServed">;

/** The most stays of a tag that are kept, as on a replica. */
export const MAX_STAYS = 20;
/** In characters. A host is no longer. */
const MAX_SOURCE = 255;

/**
 * One history from what several replicas saw of a tag, the latest stay first. It does not matter who told first, or
 * twice. One that was seen while another replica saw a different digest before and after it divides the other stay.
 *
 * @param now no stay is of a later moment: a clock was wrong
 */
export function mergeStays(stays: readonly SeenStay[], now: number): SeenStay[] {
  const waiting = stays.map((stay) => notAfter(stay, now)).toSorted(earliestFirst);
  const merged: SeenStay[] = [];
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const before = merged.at(-1);
    if (before?.digest === next.digest) {
      merged[merged.length - 1] = joined(before, next);
      continue;
    }
    if (before && before.lastSeen >= next.firstSeen) {
      merged[merged.length - 1] = { ...before, lastSeen: next.firstSeen };
      if (before.lastSeen > next.lastSeen) {
        waiting.push({ ...before, firstSeen: before.lastSeen });
        waiting.sort(earliestFirst);
      }
    }
    merged.push(next);
  }
  return merged.slice(-MAX_STAYS).toReversed();
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
    firstSeenAgeMs: Math.max(0, now - firstSeen),
    lastSeenAgeMs: Math.max(0, now - lastSeen),
  }));
}

function joined(one: SeenStay, other: SeenStay): SeenStay {
  const source = one.source ?? other.source;
  const lastSeen = Math.max(one.lastSeen, other.lastSeen);
  return { ...one, lastSeen, ...(source !== undefined && { source }) };
}

function notAfter({ digest, source, firstSeen, lastSeen }: SeenStay, now: number): SeenStay {
  return {
    digest,
    firstSeen: Math.min(firstSeen, now),
    lastSeen: Math.min(lastSeen, now),
    ...(source !== undefined && { source: source.slice(0, MAX_SOURCE) }),
  };
}

/** Of two that began at once, the one that ended first: the other one goes on. */
function earliestFirst(one: SeenStay, other: SeenStay): number {
  return (
    one.firstSeen - other.firstSeen ||
    one.lastSeen - other.lastSeen ||
    (one.digest < other.digest ? -1 : Number(one.digest > other.digest))
  );
}
