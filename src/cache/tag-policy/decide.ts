import type { AgeRule } from "../../config/policies/policy-settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Override } from "../../store/override-store.ts";
import type { TagStay } from "../../store/tag-history.ts";
import { agoText, momentText, shortDigest } from "./hold-text.ts";
import type { Candidate, Hold, TagPlan } from "./tag-policy.ts";

/** What a plan is made from. */
export interface Circumstances {
  /** The tag as people write it: `docker.io/library/node:24`. */
  readonly image: string;
  /** The latest first. The first one is what the registry says. */
  readonly stays: readonly TagStay[];
  /** Absent: a digest may be of any age. */
  readonly rule?: AgeRule | undefined;
  /** The override that decides where the tag points: of the tag by itself (`hold`, `rollback`), or else a `freeze`. */
  readonly fixed?: Override | undefined;
  /** By which override an operator holds a digest back. */
  readonly heldBy: (digest: Digest) => Override | undefined;
  /** Whether an operator has released a digest. */
  readonly isReleased: (digest: Digest) => boolean;
  /** When a transparency log recorded a signature of the digest that was verified, in milliseconds of the epoch. */
  readonly loggedAt: (digest: Digest) => number | undefined;
  /** In milliseconds of the epoch. */
  readonly now: number;
}

/** A digest of the tag. Times are in milliseconds of the epoch. */
interface Known {
  readonly digest: Digest;
  readonly firstSeen: number;
  /** Since when it is known for sure to have been seen: of what a clock that was ahead has seen, that is what was before. */
  readonly seenAfter: number;
  /** When the tag was last seen to move to it. */
  readonly movedAt: number;
  readonly oldEnoughAt: number;
}

/**
 * Which of its digests a tag may have, the best one first. It depends on nothing but what it is given.
 *
 * - An override of the tag decides alone where it points.
 * - Else the newest digest that is old enough is the best one, and older ones follow. Under a `freeze`, that is
 *   as it was at its moment; a tag that was not known then is what it was at first.
 * - Where none is old enough, `first: allow` gives those that are known, the earliest first: that is what the tag was
 *   when it was new. `first: hold` gives none.
 */
export function decide(circumstances: Circumstances): TagPlan {
  const { fixed } = circumstances;
  const plan =
    fixed && fixed.kind !== "freeze"
      ? fixedPlan(circumstances, fixed)
      : agedPlan(circumstances, fixed);
  return { ...plan, until: Math.min(plan.until, fixed?.until ?? Infinity) };
}

function fixedPlan({ image, stays, heldBy }: Circumstances, fixed: Override): TagPlan {
  const current = stays[0]?.digest;
  const { digest, until = Infinity } = fixed;
  const what = fixed.kind === "hold" ? "is held" : "was rolled back";
  const hold: Hold = {
    ...(current === undefined ? {} : { digest: current }),
    because: fixed.kind === "hold" ? "held" : "rolled-back",
    text: `${image} ${what}${authorText(fixed)}; entrepot release ${image} ends it`,
    ...boundOf(fixed),
  };
  if (digest === undefined) return { candidates: [], hold, until };
  const override = heldBy(digest);
  if (override) {
    const told = heldAsAWhole(toldOfHeld(image, digest, override));
    return { candidates: [], hold: told, until };
  }
  return { candidates: [digest === current ? { digest } : { digest, hold }], hold, until };
}

function agedPlan(circumstances: Circumstances, freeze: Override | undefined): TagPlan {
  const { image, stays, rule, heldBy, now } = circumstances;
  const known = knownDigests(circumstances, stays);
  const current = known[0];
  if (!current) return { candidates: [], until: Infinity };
  const { base, moment } = lookedAt(circumstances, known, freeze?.asOf);
  const allowed = base.filter(({ digest }) => !heldBy(digest));
  const oldThen = allowed.filter(({ oldEnoughAt }) => oldEnoughAt <= moment);
  const eligible =
    oldThen.length > 0 ? oldThen : allowed.filter(({ oldEnoughAt }) => oldEnoughAt <= now);
  const young =
    rule?.first === "hold" ? [] : earliestFirst(allowed.filter((one) => !eligible.includes(one)));
  const told = toldOf(circumstances, current, freeze);
  const candidates = [...eligible, ...young].map((one, index): Candidate => {
    const { digest } = one;
    if (index >= Math.max(1, eligible.length)) {
      return { digest, hold: lastResort(image, one, now), isLastResort: true };
    }
    return told && digest !== current.digest
      ? { digest, hold: insteadOf(told, index) }
      : { digest };
  });
  const until = Math.min(
    Infinity,
    ...known.map(({ oldEnoughAt }) => oldEnoughAt).filter((at) => at > now),
  );
  const isServed = candidates[0]?.digest === current.digest;
  return { candidates, ...(told && !isServed ? { hold: heldAsAWhole(told) } : {}), until };
}

/** The digests to choose from, and the moment at which they must be old enough. */
function lookedAt(
  circumstances: Circumstances,
  known: readonly Known[],
  asOf: number | undefined,
): { readonly base: readonly Known[]; readonly moment: number } {
  const { stays, now } = circumstances;
  if (asOf === undefined) return { base: known, moment: now };
  const then = stays.filter(({ firstSeen }) => firstSeen <= asOf);
  if (then.length > 0) return { base: knownDigests(circumstances, then), moment: asOf };
  const earliest = earliestFirst(known).slice(0, 1);
  return { base: earliest, moment: now };
}

/** Each digest once, in the order in which the tag last had them, the latest first. */
function knownDigests(
  { rule, isReleased, loggedAt, now }: Circumstances,
  stays: readonly TagStay[],
): Known[] {
  const known = new Map<Digest, Known>();
  const before = dated(stays, now);
  for (const [at, { digest, firstSeen: seen }] of stays.entries()) {
    // A clock that was ahead must not make a digest wait for longer than one that is seen now.
    const firstSeen = Math.min(seen, now);
    const earlier = known.get(digest);
    const first = Math.min(firstSeen, earlier?.firstSeen ?? Infinity);
    const since = Math.min(first, loggedAt(digest) ?? Infinity);
    const isOfAnyAge = rule === undefined || rule.minAge === 0 || isReleased(digest);
    known.set(digest, {
      digest,
      firstSeen: first,
      seenAfter: Math.min(before[at] ?? first, earlier?.seenAfter ?? Infinity),
      movedAt: earlier?.movedAt ?? firstSeen,
      oldEnoughAt: isOfAnyAge ? -Infinity : since + rule.minAge,
    });
  }
  return [...known.values()];
}

/** When each stay was seen first; of one in the future, when the latest one before it was. */
function dated(stays: readonly TagStay[], now: number): number[] {
  let latest = -Infinity;
  return stays
    .toReversed()
    .map(({ firstSeen }) => {
      if (firstSeen > now) return latest;
      latest = Math.max(latest, firstSeen);
      return firstSeen;
    })
    .toReversed();
}

/** Of two that cannot be told apart, the one that the tag had first. */
function earliestFirst(known: readonly Known[]): Known[] {
  return known
    .toReversed()
    .toSorted((one, other) =>
      one.seenAfter < other.seenAfter ? -1 : Number(one.seenAfter > other.seenAfter),
    );
}

/** Why a tag does not have the digest that its registry says, and what to do about it. */
interface Told extends Omit<Hold, "text"> {
  readonly what: string;
  readonly advice: string;
}

function toldOf(
  { image, heldBy, now, stays }: Circumstances,
  { digest, movedAt, oldEnoughAt }: Known,
  freeze: Override | undefined,
): Told | undefined {
  const override = heldBy(digest);
  if (override) return toldOfHeld(image, digest, override);
  // What had moved by then was perhaps not old enough.
  if (freeze?.asOf !== undefined && Math.max(movedAt, oldEnoughAt) > freeze.asOf) {
    return {
      digest,
      because: "frozen",
      what: `${image} is frozen as of ${momentText(freeze.asOf)}${authorText(freeze)}`,
      advice: `entrepot unfreeze '${freeze.pattern}' ends it`,
      ...boundOf(freeze),
    };
  }
  if (oldEnoughAt <= now) return undefined;
  const happened = stays.some((stay) => stay.digest !== digest) ? "moved" : "was first seen";
  return {
    digest,
    because: "too-young",
    what: `${image} ${happened} ${agoText(now - movedAt)}`,
    advice: `entrepot release ${image}`,
    until: oldEnoughAt,
  };
}

function toldOfHeld(image: string, digest: Digest, override: Override): Told {
  return {
    digest,
    because: "held",
    what: `${shortDigest(digest)} of ${image} is held${authorText(override)}`,
    advice: `entrepot release ${override.pattern} ends it`,
    ...boundOf(override),
  };
}

/** What is told of a digest that is served instead. */
function insteadOf({ what, advice, ...hold }: Told, position: number): Hold {
  const which = position === 0 ? "this is the digest before" : "this is an earlier digest";
  return { ...hold, text: `${what}, ${which}; ${advice}` };
}

/** What is told where nothing is served. */
function heldAsAWhole({ what, advice, ...hold }: Told): Hold {
  const bound = hold.until === undefined ? "" : `, and is held until ${momentText(hold.until)}`;
  return { ...hold, text: `${what}${bound}; ${advice}` };
}

function lastResort(image: string, { digest, firstSeen, oldEnoughAt }: Known, now: number): Hold {
  return {
    digest,
    because: "too-young",
    text: `${image} has no older digest that can still be had: ${shortDigest(digest)}, first seen ${agoText(now - firstSeen)}, is served before its time`,
    until: oldEnoughAt,
  };
}

/** What is told of a digest that is asked for by its name, and held by an operator. */
export function heldDigest(name: string, digest: Digest, override: Override): Hold {
  return heldAsAWhole(toldOfHeld(name, digest, override));
}

/** What is told of one that is not old enough. */
export function youngDigest(
  name: string,
  digest: Digest,
  { age, until }: { readonly age: number; readonly until: number },
): Hold {
  const what = `${name} was first seen ${agoText(age)}`;
  return heldAsAWhole({
    digest,
    because: "too-young",
    what,
    advice: `entrepot release ${name}`,
    until,
  });
}

function boundOf({ until }: Override): Pick<Hold, "until"> {
  return until === undefined ? {} : { until };
}

function authorText({ by, reason }: Override): string {
  return ` by ${by} (${reason})`;
}
