import { expect, test } from "bun:test";
import {
  array,
  assert,
  constantFrom,
  integer,
  nat,
  option,
  property,
  record,
  tuple,
} from "fast-check";
import type { AgeRule } from "../../config/policies/policy-settings.ts";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import type { Override } from "../../store/override-store.ts";
import type { TagStay } from "../../store/tag-history.ts";
import { type Circumstances, decide } from "./decide.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 20, 12);

function digestOf(index: number): Digest {
  const digest = parseDigest(`sha256:${String(index).padStart(64, "0")}`);
  if (!digest) throw new Error(String(index));
  return digest;
}

const [A, B] = [digestOf(1), digestOf(2)] as const;

interface Move {
  readonly digest: Digest;
  readonly at: number;
}

/** As the store keeps them: a stay for each move, the latest first. */
function staysOf(moves: readonly Move[], now = NOW): TagStay[] {
  return moves
    .map(({ digest, at }, index) => {
      return { digest, firstSeen: at, lastSeen: (moves[index + 1]?.at ?? now) - 1 };
    })
    .toReversed();
}

const RULE: AgeRule = { minAge: 3 * DAY, first: "allow", digests: "pass", lists: "show" };

function circumstances(moves: readonly Move[], more: Partial<Circumstances> = {}): Circumstances {
  return {
    image: "docker.io/library/node:24",
    stays: staysOf(moves),
    rule: RULE,
    heldBy: () => undefined,
    isReleased: () => false,
    loggedAt: () => undefined,
    now: NOW,
    ...more,
  };
}

function override(kind: Override["kind"], more: Partial<Override> = {}): Override {
  return {
    id: "1",
    kind,
    pattern: "docker.io/library/node:24",
    reason: "a bad release",
    by: "ada",
    since: NOW - HOUR,
    ...more,
  };
}

const ago = (milliseconds: number): number => NOW - milliseconds;

test("a tag that moved is served with the digest before, and says so", () => {
  const plan = decide(
    circumstances([
      { digest: A, at: ago(9 * DAY) },
      { digest: B, at: ago(4 * HOUR) },
    ]),
  );
  expect(plan).toEqual({
    candidates: [
      {
        digest: A,
        hold: {
          digest: B,
          because: "too-young",
          text: "docker.io/library/node:24 moved 4 h ago, this is the digest before; entrepot release docker.io/library/node:24",
          until: ago(4 * HOUR) + 3 * DAY,
        },
      },
      expect.objectContaining({ digest: B, isLastResort: true }),
    ],
    hold: {
      digest: B,
      because: "too-young",
      text: "docker.io/library/node:24 moved 4 h ago, and is held until 2026-11-23 08:00 UTC; entrepot release docker.io/library/node:24",
      until: ago(4 * HOUR) + 3 * DAY,
    },
    until: ago(4 * HOUR) + 3 * DAY,
  });
});

test("a new tag is served with its first digest, or held", () => {
  const moves = [
    { digest: A, at: ago(2 * DAY) },
    { digest: B, at: ago(HOUR) },
  ];
  expect(decide(circumstances(moves)).candidates.map(({ digest }) => digest)).toEqual([A, B]);
  const held = decide(circumstances(moves, { rule: { ...RULE, first: "hold" } }));
  expect(held.candidates).toEqual([]);
  expect(held.hold?.text).toContain("moved 1 h ago, and is held until");
  const first = decide(circumstances([{ digest: A, at: ago(HOUR) }]));
  expect(first.candidates).toEqual([{ digest: A }]);
  expect(first.hold).toBeUndefined();
});

test("a tag that comes back to a digest is served with it at once", () => {
  const moves = [
    { digest: A, at: ago(9 * DAY) },
    { digest: B, at: ago(2 * DAY) },
    { digest: A, at: ago(HOUR) },
  ];
  expect(decide(circumstances(moves)).candidates[0]).toEqual({ digest: A });
});

test("under a freeze, a tag is what it was at that moment, also where it came back since", () => {
  const moves = [
    { digest: A, at: ago(30 * DAY) },
    { digest: B, at: ago(20 * DAY) },
    { digest: A, at: ago(HOUR) },
  ];
  const freeze = override("freeze", { asOf: ago(10 * DAY), pattern: "docker.io/**" });
  const [candidate] = decide(circumstances(moves, { fixed: freeze, rule: undefined })).candidates;
  expect(candidate?.digest).toBe(B);
  expect(candidate?.hold?.text).toBe(
    "docker.io/library/node:24 is frozen as of 2026-11-10 12:00 UTC by ada (a bad release), this is the digest before; entrepot unfreeze 'docker.io/**' ends it",
  );
});

test("a digest that an operator holds is never served, not even by a rollback", () => {
  const moves = [
    { digest: A, at: ago(9 * DAY) },
    { digest: B, at: ago(8 * DAY) },
  ];
  const hold = override("hold", { pattern: `docker.io/library/node@${B}` });
  const heldBy = (digest: Digest) => (digest === B ? hold : undefined);
  expect(decide(circumstances(moves, { heldBy })).candidates.map(({ digest }) => digest)).toEqual([
    A,
  ]);
  const fixed = override("rollback", { digest: B });
  expect(decide(circumstances(moves, { heldBy, fixed })).candidates).toEqual([]);
});

test("a clock that was ahead makes no digest wait for longer than one that is seen now", () => {
  const { until } = decide(
    circumstances([
      { digest: A, at: ago(9 * DAY) },
      { digest: B, at: NOW + 300 * DAY },
    ]),
  );
  expect(until).toBe(NOW + 3 * DAY);
});

/** What the rules say in their own words, without the code's way of getting there. */
function expected(
  moves: readonly Move[],
  { rule, fixed, heldBy, isReleased, loggedAt, now }: Circumstances,
): Digest | undefined {
  if (fixed && fixed.kind !== "freeze") {
    return fixed.digest && !heldBy(fixed.digest) ? fixed.digest : undefined;
  }
  const bornAt = (digest: Digest): number =>
    Math.min(
      loggedAt(digest) ?? Infinity,
      ...moves.filter((move) => move.digest === digest).map(({ at }) => at),
    );
  const firstMove = moves.reduce((one, other) => (other.at < one.at ? other : one));
  const asOf = fixed?.asOf;
  const before = moves.filter(({ at }) => asOf === undefined || at <= asOf);
  const considered = before.length > 0 ? before : [firstMove];
  const moment = before.length > 0 ? (asOf ?? now) : now;
  const newest = considered.toReversed().filter(({ digest }) => !heldBy(digest));
  const isOld = (digest: Digest, then: number): boolean =>
    !rule || rule.minAge === 0 || isReleased(digest) || bornAt(digest) + rule.minAge <= then;
  for (const then of [moment, now]) {
    const found = newest.find(({ digest }) => isOld(digest, then));
    if (found) return found.digest;
  }
  if (rule?.first === "hold") return undefined;
  return newest.toSorted((one, other) => one.at - other.at)[0]?.digest;
}

const digests = integer({ min: 1, max: 5 }).map(digestOf);

const cases = record({
  steps: array(record({ digest: digests, after: integer({ min: 1, max: 5 * DAY }) }), {
    minLength: 1,
    maxLength: 12,
  }),
  rest: integer({ min: 0, max: 8 * DAY }),
  rule: option(
    record({
      minAge: constantFrom(0, HOUR, 3 * DAY, 10 * DAY),
      first: constantFrom("allow" as const, "hold" as const),
    }),
    { nil: undefined },
  ),
  held: array(digests, { maxLength: 2 }),
  released: array(digests, { maxLength: 2 }),
  logged: array(tuple(digests, integer({ min: 0, max: 20 * DAY })), { maxLength: 2 }),
  fixed: option(
    record({
      kind: constantFrom("hold" as const, "rollback" as const, "freeze" as const),
      digest: digests,
      asOfAgo: integer({ min: 0, max: 40 * DAY }),
      lasts: option(integer({ min: 1, max: DAY }), { nil: undefined }),
    }),
    { nil: undefined },
  ),
}).map(({ steps, rest, rule, held, released, logged, fixed }) => {
  const moves: Move[] = [];
  let at = NOW;
  for (const { digest, after } of steps) {
    // The same digest again is no move.
    if (moves.at(-1)?.digest !== digest) moves.push({ digest, at });
    at += after;
  }
  const now = Math.max(at, moves.at(-1)?.at ?? 0) + rest;
  const byDigest = new Map(logged.map(([digest, age]) => [digest, now - age]));
  const holds = new Map(held.map((digest) => [digest, override("hold")]));
  const given: Circumstances = {
    image: "docker.io/library/node:24",
    stays: staysOf(moves, now),
    rule: rule && { ...rule, digests: "pass", lists: "show" },
    fixed:
      fixed &&
      override(fixed.kind, {
        ...(fixed.kind === "freeze" ? { asOf: now - fixed.asOfAgo } : { digest: fixed.digest }),
        ...(fixed.lasts === undefined ? {} : { until: now + fixed.lasts }),
      }),
    heldBy: (digest) => holds.get(digest),
    isReleased: (digest) => released.includes(digest),
    loggedAt: (digest) => byDigest.get(digest),
    now,
  };
  return { moves, given };
});

test("for whatever happened, the digest is the one that the rules say", () => {
  assert(
    property(cases, ({ moves, given }) => {
      expect(decide(given).candidates[0]?.digest).toBe(expected(moves, given));
    }),
    { numRuns: 3000 },
  );
});

test("a plan stays the same until its end, and is another one there only if something came of age", () => {
  assert(
    property(cases, nat(), ({ moves, given }, part) => {
      const { candidates, until } = decide(given);
      expect(until).toBeGreaterThan(given.now);
      const later = until === Infinity ? given.now + 1000 * DAY : until;
      const then = given.now + (part % (later - given.now));
      const same = { ...given, now: then };
      expect(decide(same).candidates[0]?.digest).toBe(candidates[0]?.digest);
      expect(expected(moves, same)).toBe(candidates[0]?.digest);
    }),
    { numRuns: 2000 },
  );
});

test("no digest is offered twice, and none that is held", () => {
  assert(
    property(cases, ({ given }) => {
      const offered = decide(given).candidates.map(({ digest }) => digest);
      expect(new Set(offered).size).toBe(offered.length);
      expect(offered.filter((digest) => given.heldBy(digest))).toEqual([]);
    }),
    { numRuns: 1000 },
  );
});

test("what is served otherwise always says why, with what to do about it", () => {
  assert(
    property(cases, ({ given }) => {
      const { candidates, hold } = decide(given);
      const [best] = candidates;
      const isOther = best?.digest !== given.stays[0]?.digest;
      if (isOther) expect((best?.hold ?? hold)?.text).toMatch(/; entrepot \w+ \S+/);
    }),
    { numRuns: 1000 },
  );
});
