import { Command } from "commander";
import { type PolicyTested, policyTestedSchema } from "../../api/policy-tests.ts";
import { loadSettings } from "../../config/load.ts";
import { givenVerify } from "../../config/policy-files/read-given-verify.ts";
import type { PolicyRule } from "../../config/policies/policy-settings.ts";
import { printable } from "../../printable.ts";
import type { AdminClient } from "../api/admin-client.ts";
import { runJob } from "../api/run-job.ts";
import { ProgressLine } from "../progress.ts";
import {
  onRunning,
  print,
  printJson,
  storeCommand,
  type StoreOptions,
} from "../store/store-connection.ts";
import { counted, table } from "../table.ts";
import { localTime, localZone } from "./moment.ts";
import { pastOf } from "./order-options.ts";
import { shortDigest } from "./order-text.ts";

interface TestOptions extends StoreOptions {
  readonly since: string;
  readonly verify?: boolean;
}

/** More would push the sum off the screen. */
const MAX_ROWS = 100;

export function policyCommand(): Command {
  // 1 says that a pull would have been refused: what cannot be understood must not end with it.
  return new Command("policy")
    .description("rules about tags (policies): test")
    .addCommand(testCommand().exitOverride());
}

function testCommand(): Command {
  return storeCommand(
    "test",
    "show what rules would have served of what was pulled; exit code 1 if a pull would have been refused",
  )
    .option("--since <when>", "pulls since then: 2026-11-20, yesterday, or 7d for seven days", "7d")
    .option("--verify", "ask registries for signatures, and verify them, where a rule enforces any")
    .addHelpText("after", NOTES)
    .action(async (options: TestOptions, command: Command) => {
      const since = pastOf("--since", options.since, command).at;
      if (since > Date.now()) {
        command.error(
          `error: --since ${JSON.stringify(options.since)} is in the future: name a moment that is over`,
        );
      }
      process.exitCode = await onRunning(options, (client) => testPolicies(client, since, options));
    });
}

const NOTES = `
The rules are those of the file that --config names, so that a changed copy can
be tested; without it, those of the running cache. Nothing is changed by this.
Without --verify, signatures count as the cache has verified them before.
What is "not known" does not count as refused.`;

async function testPolicies(
  client: AdminClient,
  since: number,
  options: TestOptions,
): Promise<number> {
  const rules = rulesOf(options);
  const tested = options.verify
    ? await verified(client, since, rules)
    : await client.ask(
        client.api.POST("/policy-tests", {
          body: { since, ...(rules ? { rules: rules.map(plainRule) } : {}) },
        }),
      );
  if (options.json) printJson(tested);
  else print(testedText(tested, rules?.length));
  return tested.items.some(({ outcome }) => outcome === "refused") ? 1 : 0;
}

async function verified(
  client: AdminClient,
  since: number,
  rules: readonly PolicyRule[] | undefined,
): Promise<PolicyTested> {
  const body = { since, ...(rules ? { rules: rules.map(wholeRule) } : {}) };
  const line = new ProgressLine();
  const started = client.api.POST("/policy-verifications", { body });
  const tested = await runJob(client, started, policyTestedSchema, ({ done, of }) => {
    const [tags, all] = [done?.images, of?.images];
    if (tags !== undefined) line.tell(() => `${tags} of ${counted(all ?? tags, "tag")} verified`);
  });
  line.end();
  return tested;
}

/** @throws ConfigError */
function rulesOf({ config }: TestOptions): readonly PolicyRule[] | undefined {
  const file = config ?? process.env["ENTREPOT_CONFIG"];
  if (file === undefined) return undefined;
  const { policies = [] } = loadSettings({ flags: { config: file }, env: process.env });
  return policies;
}

/** With the keys and the trust root that it names. */
function wholeRule({ match, age, verify }: PolicyRule) {
  return {
    match: match.text,
    ...(age ? { age } : {}),
    ...(verify ? { verify: givenVerify(verify) } : {}),
  };
}

function plainRule({ match, age, verify }: PolicyRule) {
  return {
    match: match.text,
    ...(age ? { age } : {}),
    ...(verify ? { verify: { mode: verify.mode, revision: verify.revision } } : {}),
  };
}

export function testedText(tested: PolicyTested, rules: number | undefined): string {
  const { since, begin, pulls, images, same, items, isCut } = tested;
  const by = rules === undefined ? "the rules of the running cache" : rulesText(rules);
  const lines: string[] = [];
  if (begin === undefined || begin > since) {
    const from =
      begin === undefined ? "nothing was recorded yet" : `it begins at ${localTime(begin)}`;
    lines.push(`The log of pulls does not reach back to ${localTime(since)}: ${from}.`);
  }
  if (isCut) lines.push("There were more pulls than are looked at: give a later --since.");
  if (pulls === 0) {
    return [...lines, `No tag was pulled since ${localTime(since)} (${localZone()}).`].join("\n");
  }
  const rows = items.slice(0, MAX_ROWS).map(rowOf);
  if (rows.length > 0) lines.push(table(COLUMNS, rows));
  if (items.length > rows.length) {
    lines.push(`… and ${items.length - rows.length} more: --json has ${items.length}.`);
  }
  const of = (outcome: PolicyTested["items"][number]["outcome"]): number =>
    items.filter((item) => item.outcome === outcome).reduce((sum, item) => sum + item.pulls, 0);
  const counts = [
    `${same} as they were`,
    `${of("other")} with another digest`,
    `${of("refused")} refused`,
    ...(of("unknown") > 0 ? [`${of("unknown")} not known`] : []),
  ];
  const what = `${counted(pulls, "pull")} of ${counted(images, "tag")} since ${localTime(since)}`;
  lines.push(`By ${by}, of ${what}: ${counts.join(", ")}.`);
  return lines.join("\n");
}

function rulesText(rules: number): string {
  return rules === 0 ? "no rules, since the file has no policies" : counted(rules, "rule");
}

const COLUMNS = [
  { title: "IMAGE" },
  { title: "PULLS", right: true },
  { title: "LAST" },
  { title: "WAS SERVED" },
  { title: "WOULD BE" },
  { title: "WHY" },
];

function rowOf({
  image,
  pulls,
  pulledAt,
  served,
  would,
  outcome,
  why,
}: PolicyTested["items"][number]): string[] {
  const instead = { other: "-", refused: "refused", unknown: "not known" }[outcome];
  return [
    image,
    String(pulls),
    localTime(pulledAt),
    served === undefined ? "refused" : shortDigest(served),
    would === undefined ? instead : shortDigest(would),
    why === undefined ? "as its registry says" : printable(why),
  ];
}
