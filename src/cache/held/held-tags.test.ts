import { expect, test } from "bun:test";
import {
  array,
  assert,
  asyncProperty,
  boolean,
  constant,
  constantFrom,
  nat,
  record,
} from "fast-check";
import { setImmediate } from "node:timers/promises";
import { policyMatch } from "../../config/policies/policy-match.ts";
import type { AgeRule, PolicyRule, VerifyRule } from "../../config/policies/policy-settings.ts";
import type { Digest } from "../../oci/digest.ts";
import type { Tag } from "../../oci/names.ts";
import type { Override } from "../../store/override-store.ts";
import { openMetadata } from "../../store/sql/open-metadata.ts";
import { digestNumber, repositoryRef, tag } from "../../store/storetest/sample-names.ts";
import type { VerificationRecord } from "../../store/verification-store.ts";
import { TagRecords } from "../lookup/tag-records.ts";
import { Overrides } from "../tag-policy/overrides.ts";
import { TagPolicies } from "../tag-policy/tag-policies.ts";
import type { Verifier } from "../tag-policy/verifier.ts";
import { WriteBehind } from "../write-behind.ts";
import { HeldTags } from "./held-tags.ts";

const app = repositoryRef("reg.test", "app");
const NOW = 100;
const AGE: AgeRule = { minAge: 10, first: "hold", digests: "pass", lists: "hide" };
const VERIFY: VerifyRule = {
  mode: "enforce",
  keys: [],
  keyless: [],
  attestations: [],
  signature: true,
  repository: "any",
  transparencyLog: true,
  revision: "r1",
};

function ruleOf(pattern: string, rule: Omit<PolicyRule, "match">): PolicyRule {
  const match = policyMatch(pattern);
  if (typeof match === "string") throw new Error(match);
  return { match, ...rule };
}

/** A log says of these that they were signed long ago. */
const LOGGED: VerificationRecord = { outcome: "passed", detail: "", loggedAt: 1, verifiedAt: 1 };
const isLogged = (digest: Digest): boolean => digest.endsWith("0") || digest.endsWith("8");

const verifier: Verifier = {
  verify: async (_repo, digest) => (isLogged(digest) ? LOGGED : undefined),
  known: async (_repo, digest) => (isLogged(digest) ? LOGGED : undefined),
  knownOf: async (_repo, digests) =>
    new Map(digests.filter(isLogged).map((digest) => [digest, LOGGED])),
};

const TAGS = Array.from({ length: 12 }, (_, at) => tag(`${at < 6 ? "v" : "w"}${at}`));

const rules = record<AgeRule>({
  digests: constant("pass"),
  first: constantFrom("hold", "allow"),
  lists: constantFrom("hide", "show"),
  minAge: constantFrom(0, 10, 40),
});

const overrides = array(
  record({
    kind: constantFrom("release", "hold", "rollback", "freeze"),
    tag: nat(TAGS.length - 1),
    image: nat(5),
    isOfDigest: boolean(),
    isOfAll: boolean(),
    until: constantFrom(NOW - 1, NOW + 1),
  }),
  { maxLength: 4 },
).map((all) =>
  all.map(({ kind, image, isOfDigest, isOfAll, until, ...one }, at): Override => {
    const digest = digestNumber(image);
    const name = isOfAll && kind === "freeze" ? "reg.test/*" : `reg.test/app:${TAGS[one.tag]}`;
    const isByDigest = kind === "release" || (kind === "hold" && isOfDigest);
    return {
      id: String(at),
      kind,
      pattern: isByDigest ? `reg.test/app@${digest}` : name,
      ...(kind === "freeze" ? { asOf: 80 } : { digest }),
      reason: "",
      by: "",
      since: at,
      until,
    };
  }),
);

const moves = array(record({ tag: nat(TAGS.length - 1), image: nat(5), at: nat(NOW + 20) }), {
  maxLength: 60,
});

async function policyOf(given: readonly PolicyRule[], held: readonly Override[]) {
  const opened = await Overrides.open({ list: async () => [...held], put: async () => {} });
  const policy = new TagPolicies({ overrides: opened, verifier, now: () => NOW });
  policy.configure(given);
  return policy;
}

/** All manifests are stored. */
const STORED = { stored: async () => {} };

function bound(policy: TagPolicies): Pick<TagPolicies, "hidden" | "hidesByAge"> {
  return {
    hidden: (...asked) => policy.hidden(...asked),
    hidesByAge: (...asked) => policy.hidesByAge(...asked),
  };
}

test("lists leave out just what looking at each tag alone would say is held as a whole", async () => {
  await assert(
    asyncProperty(
      record({ ofV: rules, ofAll: rules, isVerified: boolean(), overrides, moves }),
      async ({ ofV, ofAll, isVerified, overrides: held, moves: moved }) => {
        const metadata = await openMetadata(":memory:");
        for (const { tag: at, image, at: checkedAt } of moved) {
          const name = TAGS[at];
          if (name) await metadata.tags.put(app, name, { digest: digestNumber(image), checkedAt });
        }
        const records = new TagRecords(metadata, STORED, new WriteBehind());
        const verify = isVerified ? { verify: VERIFY } : {};
        const policy = await policyOf(
          [
            ruleOf("reg.test/app:v*", { age: ofV, ...verify }),
            ruleOf("reg.test/**", { age: ofAll }),
          ],
          held,
        );
        const expected: Tag[] = [];
        for (const name of TAGS) {
          const age = name.startsWith("v") ? ofV : ofAll;
          const stays = await records.history(app, name);
          const plan = await policy.plan(app, name, stays);
          const isHeld =
            stays.length === 0
              ? age.minAge > 0 && age.first === "hold" && !policy.isFixed(app, name)
              : plan.candidates.length === 0;
          const isHidden = age.lists === "hide" && policy.governs(app, name) && isHeld;
          if (!isHidden) expected.push(name);
        }
        const lists = new HeldTags({ policy: { ...bound(policy), hidesAny: () => true }, records });
        expect(await lists.shown(app, TAGS)).toEqual(expected);
        await metadata.close();
      },
    ),
    { numRuns: 60 },
  );
});

test("a list of 10,000 tags is some forty statements, and others have their turn between them", async () => {
  const metadata = await openMetadata(":memory:");
  const names = Array.from({ length: 10_000 }, (_, at) => tag(`t${at}`));
  const [known] = names;
  if (known) await metadata.tags.put(app, known, { digest: digestNumber(1), checkedAt: 1 });
  const statements: number[] = [];
  let turns = 0;
  const records = new TagRecords(
    {
      ...metadata,
      tagHistory: {
        of: () => Promise.reject(new Error("one by one")),
        ofEach: () => Promise.reject(new Error("of none, more is to be known")),
        firstSeen: (repo, tags) => {
          statements.push(turns);
          return metadata.tagHistory.firstSeen(repo, tags);
        },
      },
    },
    STORED,
    new WriteBehind(),
  );
  const policy = await policyOf([ruleOf("reg.test/**", { age: AGE })], []);
  const stopped = new AbortController();
  const counting = (async () => {
    for (; !stopped.signal.aborted; turns += 1) await setImmediate();
  })();
  expect(await new HeldTags({ policy, records }).shown(app, names)).toEqual(known ? [known] : []);
  stopped.abort();
  await counting;
  expect(statements).toHaveLength(40);
  expect(new Set(statements).size).toBeGreaterThan(5);
  await metadata.close();
});
