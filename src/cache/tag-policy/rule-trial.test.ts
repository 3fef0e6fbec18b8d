import { expect, test } from "bun:test";
import type { AgeRule, PolicyRule, VerifyRule } from "../../config/policies/policy-settings.ts";
import { policyMatch } from "../../config/policies/policy-match.ts";
import type { Digest } from "../../oci/digest.ts";
import type { TagPulls } from "../../store/history-store.ts";
import type { Override } from "../../store/override-store.ts";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import type { TagStay } from "../../store/tag-history.ts";
import { RuleTrial } from "./rule-trial.ts";

const DAY = 86_400_000;
const START = 1000 * DAY;
const node = repositoryRef("docker.io", "library/node");
const [first, second, third] = [digestNumber(1), digestNumber(2), digestNumber(3)];

/** The tag moved on the first, the fifth and the ninth day. */
const stays: readonly TagStay[] = [
  { digest: third, firstSeen: START + 9 * DAY, lastSeen: START + 20 * DAY },
  { digest: second, firstSeen: START + 5 * DAY, lastSeen: START + 9 * DAY },
  { digest: first, firstSeen: START + DAY, lastSeen: START + 5 * DAY },
];

function rule(age: Partial<AgeRule> | undefined, verify?: VerifyRule): PolicyRule {
  const match = policyMatch("docker.io/**");
  if (typeof match === "string") throw new Error(match);
  return {
    match,
    ...(age ? { age: { minAge: 0, first: "allow", digests: "pass", lists: "show", ...age } } : {}),
    ...(verify ? { verify } : {}),
  };
}

/** What was pulled on a day, as its registry said. */
function pulledOn(day: number, pulls = 1): TagPulls {
  const pulledAt = START + day * DAY;
  const digest = stays.find(({ firstSeen }) => firstSeen <= pulledAt)?.digest;
  return { repo: node, tag: tag("24"), pulledAt, pulls, ...(digest ? { digest } : {}) };
}

async function tried(
  rules: readonly PolicyRule[],
  pulls: readonly TagPulls[],
  {
    overrides = [],
    outcomes = {},
  }: {
    readonly overrides?: readonly Override[];
    readonly outcomes?: Readonly<Record<Digest, "passed" | "failed">>;
  } = {},
) {
  const trial = new RuleTrial({
    history: { tagPulls: async () => [...pulls], tagPullsBegin: async () => START },
    tagHistory: { of: async () => [...stays] },
    overrides: { all: overrides },
    verifications: {
      find: async () => new Map(),
      get: async (_repo, digest) => {
        const outcome = outcomes[digest];
        return outcome && { outcome, detail: "no signature", verifiedAt: START };
      },
    },
  });
  const names = new Map([
    [first, "first"],
    [second, "second"],
    [third, "third"],
  ]);
  const { all } = await trial.run(rules, START);
  return all
    .toSorted((one, other) => one.pulledAt - other.pulledAt)
    .map(({ served, would, outcome, pulls: count }) =>
      [served && names.get(served), would && names.get(would), outcome, count].join(" "),
    );
}

test("each pull is looked at with what was known of the tag then, and with its age then", async () => {
  const pulls = [2, 4, 5.5, 7.9, 8.5, 10, 11.9, 12.5].map((day) => pulledOn(day));
  expect(await tried([rule({ minAge: 3 * DAY })], pulls)).toEqual([
    // The earliest digest of a new tag is allowed.
    "first first same 2",
    "second first other 2",
    "second second same 1",
    "third second other 2",
    "third third same 1",
  ]);
  expect(await tried([rule({ minAge: 3 * DAY, first: "hold" })], pulls.slice(0, 2))).toEqual([
    "first  refused 1",
    "first first same 1",
  ]);
  expect(await tried([], pulls)).toEqual([
    "first first same 2",
    "second second same 3",
    "third third same 3",
  ]);
});

test("an override counts from when it was made to when it was ended, whatever holds now", async () => {
  const rollback: Override = {
    id: "1",
    kind: "rollback",
    pattern: "docker.io/library/node:24",
    digest: first,
    reason: "for a test",
    by: "ann",
    since: START + 6 * DAY,
    ended: { at: START + 8 * DAY, by: "ann", reason: "over" },
  };
  const pulls = [5.5, 7, 8.5].map((day) => pulledOn(day));
  expect(await tried([], pulls, { overrides: [rollback] })).toEqual([
    "second first other 1",
    "second second same 2",
  ]);
});

test("signatures count as they were verified, and those that never were are not known", async () => {
  const verify: VerifyRule = {
    mode: "enforce",
    keys: [],
    keyless: [],
    attestations: [],
    signature: true,
    repository: "any",
    transparencyLog: true,
    revision: "1",
  };
  const pulls = [2, 6, 10].map((day) => pulledOn(day));
  const outcomes = { [first]: "passed", [second]: "failed" } as const;
  expect(await tried([rule(undefined, verify)], pulls, { outcomes })).toEqual([
    "first first same 1",
    "second first other 1",
    "third  unknown 1",
  ]);
  expect(await tried([rule(undefined, { ...verify, mode: "observe" })], pulls)).toEqual([
    "first first same 1",
    "second second same 1",
    "third third same 1",
  ]);
});

test("a refusal that would be served, and what is not known any more", async () => {
  const { digest: _digest, ...refused } = pulledOn(2, 3);
  expect(await tried([], [pulledOn(0.5), refused])).toEqual(["  unknown 1", " first other 3"]);
});
