import {
  MAX_TRIED,
  newPolicyTestSchema,
  type NewPolicyTest,
  policyTestedSchema,
} from "../../../api/policy-tests.ts";
import type { RuleTrial, TriedPulls } from "../../../cache/tag-policy/rule-trial.ts";
import { policyMatch } from "../../../config/policies/policy-match.ts";
import type { PolicyRule } from "../../../config/policies/policy-settings.ts";
import { operation, type Operation } from "../operation.ts";
import { ProblemError } from "../problem-details.ts";
import { SurveyLimit } from "../survey-limit.ts";

export interface PolicyTestParts {
  readonly trial: Pick<RuleTrial, "run">;
  /** As they are configured now. */
  readonly rules: () => readonly PolicyRule[];
  /** Has what was pulled until now be written. */
  readonly settle: () => Promise<void>;
}

type GivenRule = NonNullable<NewPolicyTest["rules"]>[number];

/** Rules are tried on what was pulled, before they hold. */
export function policyTestOperations({ trial, rules, settle }: PolicyTestParts): Operation[] {
  const surveys = new SurveyLimit();
  return [
    operation({
      id: "testPolicies",
      method: "POST",
      path: "/policy-tests",
      tag: "history",
      summary: "What other rules (`policies`) would have served of what was pulled",
      description:
        "With what was known of each tag when it was pulled, the overrides that held then, and the verifications that are recorded. Nothing is fetched, and nothing is changed.",
      right: "read",
      body: newPolicyTestSchema,
      maxBody: 512 * 1024,
      refusals: [503],
      answer: policyTestedSchema,
      handle({ body, signal, concealment }) {
        concealment?.refuse("what was pulled, by its count");
        const tried = body.rules?.map(ruleOf) ?? rules();
        return surveys.run(async () => {
          await settle();
          const { all, ...report } = await trial.run(tried, body.since, signal);
          const others = all.flatMap(itemOf);
          return {
            since: body.since,
            ...report,
            pulls: sum(all),
            images: new Set(all.map(({ image }) => image)).size,
            same: sum(all.filter(({ outcome }) => outcome === "same")),
            items: others.slice(0, MAX_TRIED),
          };
        });
      },
    }),
  ];
}

function itemOf({ outcome, ...tried }: TriedPulls) {
  return outcome === "same" ? [] : [{ ...tried, outcome }];
}

function sum(all: readonly TriedPulls[]): number {
  return all.reduce((total, { pulls }) => total + pulls, 0);
}

/** @throws ProblemError */
function ruleOf({ match: text, age, verify }: GivenRule): PolicyRule {
  const match = policyMatch(text);
  if (typeof match === "string") {
    const detail = `the match ${JSON.stringify(text)} ${match}`;
    throw new ProblemError({ status: 400, detail, next: "write it as in entrepot.yaml" });
  }
  return {
    match,
    ...(age ? { age } : {}),
    ...(verify ? { verify: { ...OF_NOBODY, ...verify } } : {}),
  };
}

/** What is recorded is found by the revision alone. */
const OF_NOBODY = {
  keys: [],
  keyless: [],
  attestations: [],
  signature: true,
  repository: "any",
  transparencyLog: true,
} as const;
