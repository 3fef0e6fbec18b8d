import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { CLUSTER_PROBLEM_KINDS } from "../src/cluster/cluster-problems.ts";
import { LOCAL_PROBLEM_KINDS } from "../src/telemetry/local-problems.ts";
import { run } from "./harness/processes.ts";
import { unpackedTests } from "./harness/real-components.ts";
import { tempDir } from "./harness/temp-dir.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const RULES = join(ROOT, "deploy/prometheus/rules.yaml");
const UNIT_TESTS = join(ROOT, "test/prometheus/rules.yaml");

/** Alerts of one group that are all alike: one for each problem of a kind. */
const PROBLEM_GROUPS: ReadonlySet<string> = new Set(["entrepot-machine", "entrepot-cluster"]);

const alertSchema = z.strictObject({
  alert: z.string(),
  expr: z.string(),
  for: z.string(),
  labels: z.strictObject({ severity: z.enum(["info", "warning", "critical"]) }),
  annotations: z.strictObject({
    summary: z.string(),
    description: z.string(),
    runbook_url: z.string(),
  }),
});
const recordSchema = z.strictObject({ record: z.string(), expr: z.string() });
const rulesSchema = z.object({
  groups: z.array(
    z.strictObject({ name: z.string(), rules: z.array(z.union([alertSchema, recordSchema])) }),
  ),
});
const unitTestsSchema = z.object({
  tests: z.array(
    z.object({
      alert_rule_test: z
        .array(z.object({ alertname: z.string(), exp_alerts: z.array(z.unknown()).optional() }))
        .default([]),
      promql_expr_test: z.array(z.object({ expr: z.string() })).default([]),
    }),
  ),
});

const { groups } = rulesSchema.parse(Bun.YAML.parse(readFileSync(RULES, "utf8")));
const rulesOf = (isWanted: (group: string) => boolean) =>
  groups.filter(({ name }) => isWanted(name)).flatMap((group) => group.rules);
const alerts = rulesOf(() => true).filter((rule) => "alert" in rule);
const problemAlerts = rulesOf((group) => PROBLEM_GROUPS.has(group)).filter(
  (rule) => "alert" in rule,
);

describe("the alerts of deploy/prometheus", () => {
  test("are one for each problem of the machine and of the cluster", () => {
    const expressions = [
      ...LOCAL_PROBLEM_KINDS.map((kind) => `entrepot_local_problem{problem="${kind}"} == 1`),
      ...CLUSTER_PROBLEM_KINDS.map((kind) => `entrepot_cluster_problem{problem="${kind}"} == 1`),
    ];
    expect(problemAlerts.map(({ expr }) => expr)).toEqual(expressions);
  });

  test("and all other rules have unit tests in which they fire, or have a value", () => {
    const { tests } = unitTestsSchema.parse(Bun.YAML.parse(readFileSync(UNIT_TESTS, "utf8")));
    const fired = tests.flatMap(({ alert_rule_test: cases }) =>
      cases.filter((one) => one.exp_alerts).map(({ alertname }) => alertname),
    );
    const evaluated = tests.flatMap(({ promql_expr_test: cases }) =>
      cases.map(({ expr }) => expr.replace(/\{.*/, "")),
    );
    const names = rulesOf((group) => !PROBLEM_GROUPS.has(group)).map((rule) =>
      "alert" in rule ? rule.alert : rule.record,
    );
    expect([...new Set([...fired, ...evaluated])].toSorted()).toEqual(names.toSorted());
  });

  test.each(alerts.map(({ annotations }) => annotations.runbook_url))("lead to %s", (url) => {
    const [file = "", anchor] = url.split("#");
    const headings = readFileSync(join(ROOT, file), "utf8").matchAll(/^#+ (.+)$/gm);
    // As GitHub makes anchors of headings.
    const anchors = [...headings].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w -]/g, "")
        .replaceAll(" ", "-"),
    );
    expect(anchors).toContain(anchor ?? "");
  });
});

const promtoolTest = await unpackedTests("prometheus", { packages: ["prometheus"] });

promtoolTest(
  "Prometheus fires each alert while its problem is there, and no other",
  async (tree) => {
    await using dir = await tempDir("alerts");
    const tests = problemAlerts.map(({ alert, labels, annotations, expr }) => {
      const series = expr.replace(" == 1", "").replace("}", ',instance="cache:5001"}');
      const [, problem = ""] = /problem="(.+?)"/.exec(expr) ?? [];
      const expected = {
        exp_labels: { ...labels, problem, instance: "cache:5001" },
        exp_annotations: {
          ...annotations,
          summary: annotations.summary.replace("{{ $labels.instance }}", "cache:5001"),
        },
      };
      const firing = (name: string, time: string, fired: readonly object[]): object => ({
        eval_time: time,
        alertname: name,
        exp_alerts: fired,
      });
      return {
        interval: "1m",
        input_series: [{ series, values: "0 0 1x10 0x10" }],
        alert_rule_test: [
          firing(alert, "1m", []),
          firing(alert, "10m", [expected]),
          firing(alert, "20m", []),
          ...problemAlerts
            .filter((other) => other.alert !== alert)
            .map((other) => firing(other.alert, "10m", [])),
        ],
      };
    });
    const file = dir.file("tests.yaml");
    await writeFile(
      file,
      JSON.stringify({ rule_files: [RULES], evaluation_interval: "1m", tests }),
    );
    const unitTests = dir.file("unit-tests.yaml");
    const text = readFileSync(UNIT_TESTS, "utf8");
    await writeFile(unitTests, `rule_files: [${JSON.stringify(RULES)}]\n${text}`);
    const promtool = join(tree, "usr/bin/promtool");
    for (const args of [
      ["check", "rules", RULES],
      ["test", "rules", file, unitTests],
    ]) {
      const { code, stdout, stderr } = await run([promtool, ...args]);
      expect([code, stdout + stderr]).toEqual([0, expect.stringContaining("SUCCESS")]);
    }
  },
);
