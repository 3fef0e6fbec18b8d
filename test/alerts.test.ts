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

const rulesSchema = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.strictObject({
          alert: z.string(),
          expr: z.string(),
          for: z.string(),
          labels: z.strictObject({ severity: z.enum(["warning", "critical"]) }),
          annotations: z.strictObject({
            summary: z.string(),
            description: z.string(),
            runbook_url: z.string(),
          }),
        }),
      ),
    }),
  ),
});

const { groups } = rulesSchema.parse(Bun.YAML.parse(readFileSync(RULES, "utf8")));
const rules = groups.flatMap((group) => group.rules);

describe("the alerts of deploy/prometheus", () => {
  test("are one for each problem of the machine and of the cluster", () => {
    const expressions = [
      ...LOCAL_PROBLEM_KINDS.map((kind) => `entrepot_local_problem{problem="${kind}"} == 1`),
      ...CLUSTER_PROBLEM_KINDS.map((kind) => `entrepot_cluster_problem{problem="${kind}"} == 1`),
    ];
    expect(rules.map(({ expr }) => expr)).toEqual(expressions);
  });

  test.each(rules.map(({ annotations }) => annotations.runbook_url))("lead to %s", (url) => {
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
    const tests = rules.map(({ alert, labels, annotations, expr }) => {
      const series = expr.replace(" == 1", "").replace("}", ',instance="cache:5001"}');
      const [, problem = ""] = /problem="(.+?)"/.exec(expr) ?? [];
      const expected = {
        exp_labels: { ...labels, problem, instance: "cache:5001" },
        exp_annotations: {
          ...annotations,
          summary: annotations.summary.replace("{{ $labels.instance }}", "cache:5001"),
        },
      };
      const firing = (name: string, time: string, alerts: readonly object[]): object => ({
        eval_time: time,
        alertname: name,
        exp_alerts: alerts,
      });
      return {
        interval: "1m",
        input_series: [{ series, values: "0 0 1x10 0x10" }],
        alert_rule_test: [
          firing(alert, "1m", []),
          firing(alert, "10m", [expected]),
          firing(alert, "20m", []),
          ...rules
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
    const promtool = join(tree, "usr/bin/promtool");
    for (const args of [
      ["check", "rules", RULES],
      ["test", "rules", file],
    ]) {
      const { code, stdout, stderr } = await run([promtool, ...args]);
      expect([code, stdout + stderr]).toEqual([0, expect.stringContaining("SUCCESS")]);
    }
  },
);
