import {
  MAX_TRIED,
  newPolicyTestSchema,
  newPolicyVerificationSchema,
  type NewPolicyTest,
  type NewPolicyVerification,
  type PolicyTested,
  policyTestedSchema,
  policyVerificationJobSchema,
} from "../../../api/policy-tests.ts";
import type { RuleTrial, TrialReport, TriedPulls } from "../../../cache/tag-policy/rule-trial.ts";
import type { TrialVerifier } from "../../../cache/tag-policy/verifier.ts";
import { policyMatch } from "../../../config/policies/policy-match.ts";
import type { PolicyMatch, PolicyRule } from "../../../config/policies/policy-settings.ts";
import { readGivenVerify } from "../../../config/policy-files/read-given-verify.ts";
import type { Jobs } from "../jobs/job-table.ts";
import { operation, type Operation } from "../operation.ts";
import { ProblemError } from "../problem-details.ts";
import { SurveyLimit } from "../survey-limit.ts";
import { accepted, LOCATION } from "./jobs.ts";

export interface PolicyTestParts {
  readonly trial: Pick<RuleTrial, "run">;
  /** As they are configured now. */
  readonly rules: () => readonly PolicyRule[];
  /** Has what was pulled until now be written. */
  readonly settle: () => Promise<void>;
  readonly jobs: Jobs;
  /** Verifies by rules that do not hold. */
  readonly verifier: (signal: AbortSignal) => TrialVerifier;
}

type GivenRule = NonNullable<NewPolicyTest["rules"]>[number];
type VerifiedRule = NonNullable<NewPolicyVerification["rules"]>[number];

/** With public keys and trust roots. */
const MAX_BODY = 4 * 1024 * 1024;

/** Rules are tried on what was pulled, before they hold. */
export function policyTestOperations({
  trial,
  rules,
  settle,
  jobs,
  verifier,
}: PolicyTestParts): Operation[] {
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
          return testedOf(body.since, await trial.run(tried, body.since, { signal }));
        });
      },
    }),
    operation({
      id: "verifyPolicies",
      method: "POST",
      path: "/policy-verifications",
      tag: "history",
      summary: "As testPolicies, and verifies what these rules would serve",
      description:
        "A job. Where a rule enforces signatures, those of the digests that it would serve are verified now, as a pull would have it done: the registries are asked for them with the credentials of the cache. What is found is not recorded, and nothing that is served changes. What cannot be found out has the outcome `unknown`.",
      right: "admin",
      body: newPolicyVerificationSchema,
      maxBody: MAX_BODY,
      status: 202,
      headers: LOCATION,
      refusals: [400, 503],
      answer: policyVerificationJobSchema,
      handle({ body: { since, rules: given } }) {
        const tried = given?.map(verifiedRuleOf) ?? rules();
        return accepted(
          jobs.start({
            kind: "policy-test",
            title: "Test policies, and verify signatures by them",
            async run(progress, signal) {
              await settle();
              const report = await trial.run(tried, since, {
                signal,
                verifier: verifier(signal),
                onProgress: (tags, of) => progress({ done: { images: tags }, of: { images: of } }),
              });
              return testedOf(since, report);
            },
          }),
        );
      },
    }),
  ];
}

function testedOf(since: number, { all, ...report }: TrialReport): PolicyTested {
  return {
    since,
    ...report,
    pulls: sum(all),
    images: new Set(all.map(({ image }) => image)).size,
    same: sum(all.filter(({ outcome }) => outcome === "same")),
    items: all.flatMap(itemOf).slice(0, MAX_TRIED),
  };
}

function itemOf({ outcome, ...tried }: TriedPulls) {
  return outcome === "same" ? [] : [{ ...tried, outcome }];
}

function sum(all: readonly TriedPulls[]): number {
  return all.reduce((total, { pulls }) => total + pulls, 0);
}

/** @throws ProblemError */
function ruleOf({ match, age, verify }: GivenRule): PolicyRule {
  return {
    match: matchOf(match),
    ...(age ? { age } : {}),
    ...(verify ? { verify: { ...OF_NOBODY, ...verify } } : {}),
  };
}

/** @throws ProblemError */
function verifiedRuleOf({ match, age, verify: given }: VerifiedRule): PolicyRule {
  const verify = given && readGivenVerify(given);
  if (typeof verify === "string")
    throw refused(`of the rule for ${JSON.stringify(match)}, ${verify}`);
  return { match: matchOf(match), ...(age ? { age } : {}), ...(verify ? { verify } : {}) };
}

/** @throws ProblemError */
function matchOf(text: string): PolicyMatch {
  const match = policyMatch(text);
  if (typeof match === "string") throw refused(`the match ${JSON.stringify(text)} ${match}`);
  return match;
}

function refused(detail: string): ProblemError {
  return new ProblemError({ status: 400, detail, next: "write it as in entrepot.yaml" });
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
