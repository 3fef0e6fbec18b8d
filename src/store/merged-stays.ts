import { type TagStay } from "./tag-history.ts";

/**
 * A tag's stays with one that another replica saw, or that is recovered: the latest first. It becomes one with those
 * of its digest that it overlaps; where it spans several of them, another digest was seen in between, and they stay
 * apart. To add it again changes nothing.
 *
 * @param stays the latest first, as they were seen here: an order that holds whatever the clock did
 */
export function withStay(stays: readonly TagStay[], added: TagStay): TagStay[] {
  const same = stays.filter((stay) => stay.digest === added.digest && overlaps(stay, added));
  const [latest, earliest] = [same[0], same.at(-1)];
  if (!latest || !earliest) return inserted(stays, added);
  const begun = stays.map((stay) => (stay === earliest ? withBegin(stay, added) : stay));
  const last = latest === earliest ? withBegin(latest, added) : latest;
  if (last.lastSeen >= added.lastSeen) return begun;
  const others = begun.filter((_, at) => stays[at] !== latest);
  return inserted(others, { ...last, lastSeen: added.lastSeen });
}

/** Stays of one digest between which no other one was seen, as one: of two replicas, each saw a part of it. */
export function joinedStays(stays: readonly TagStay[]): TagStay[] {
  const joined: TagStay[] = [];
  for (const stay of stays) {
    const later = joined.at(-1);
    if (later?.digest !== stay.digest) joined.push(stay);
    else joined[joined.length - 1] = { ...withBegin(later, stay), lastSeen: latestOf(later, stay) };
  }
  return joined;
}

/**
 * At most so many stays of a tag: the latest, the earliest, and of those between them the ones that tell most. What is
 * left is spread evenly over their ages, so that a tag that moves often, or is moved on purpose, still has a digest that
 * is old enough, whatever age that is.
 *
 * @param most two at least
 */
export function thinnedStays(stays: readonly TagStay[], most: number): readonly TagStay[] {
  let kept = stays;
  while (kept.length > most) {
    const least = leastTelling(kept);
    kept = joinedStays(kept.filter((_, at) => at !== least));
  }
  return kept;
}

/** Which of the stays leaves the smallest gap, for its age. sql/tag-policy/tag-policy-tables.ts does the same in the database. */
function leastTelling(stays: readonly TagStay[]): number {
  const [latest] = stays;
  let found = 1;
  let smallest = Infinity;
  for (let at = 1; at < stays.length - 1; at += 1) {
    const [later, stay, earlier] = [stays[at - 1], stays[at], stays[at + 1]];
    if (!latest || !later || !stay || !earlier) continue;
    const gap = Math.abs(later.firstSeen - earlier.firstSeen);
    const weight = gap / (Math.abs(latest.firstSeen - stay.firstSeen) + 1);
    if (weight < smallest) [found, smallest] = [at, weight];
  }
  return found;
}

function overlaps(one: TagStay, other: TagStay): boolean {
  return one.firstSeen <= other.lastSeen && other.firstSeen <= one.lastSeen;
}

/** The stay, as it began where both are one. */
function withBegin(stay: TagStay, other: TagStay): TagStay {
  const { source, firstServed, ...times } = stay;
  const earlier = other.firstSeen < stay.firstSeen ? other : stay;
  const served = Math.min(firstServed ?? Infinity, other.firstServed ?? Infinity);
  const known = earlier.source ?? source ?? other.source;
  return {
    ...times,
    firstSeen: earlier.firstSeen,
    ...(served === Infinity ? {} : { firstServed: served }),
    ...(known === undefined ? {} : { source: known }),
  };
}

function latestOf(one: TagStay, other: TagStay): number {
  return Math.max(one.lastSeen, other.lastSeen);
}

/** Before the first stay that was not seen since. */
function inserted(stays: readonly TagStay[], added: TagStay): TagStay[] {
  const found = stays.findIndex((stay) => isBefore(stay, added));
  const at = found === -1 ? stays.length : found;
  return [...stays.slice(0, at), added, ...stays.slice(at)];
}

function isBefore(stay: TagStay, other: TagStay): boolean {
  if (stay.lastSeen !== other.lastSeen) return stay.lastSeen < other.lastSeen;
  return stay.firstSeen < other.firstSeen;
}
