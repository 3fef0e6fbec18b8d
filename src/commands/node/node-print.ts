import { printableJson, printableLines } from "../../printable.ts";
import { unifiedDiff } from "../../node/files/diff.ts";
import { hideSecrets, hideUserinfo } from "../../node/files/hidden-secrets.ts";
import type { Finding } from "../../node/findings.ts";
import { formatPosition } from "../../node/findings.ts";
import type { FileState } from "../../node/files/node-files.ts";
import type { Obstacle, Plan } from "../../node/plan.ts";
import type { ProbeResult } from "../../node/wiring/probe.ts";
import type { NodeContext } from "../../node/node-context.ts";
import type { Fact, Runtime } from "../../node/runtime.ts";
import type { AskedOfPlan } from "./asked-credentials.ts";

export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function factsText(facts: readonly Fact[]): string {
  return table(facts.map((fact) => [fact.name, fact.value]));
}

const LABELS = { error: "ERROR", warning: "WARNING", note: "note" } as const;

export function findingsText(findings: readonly Finding[]): string {
  return findings
    .map((finding) => {
      const position = finding.at ? `${formatPosition(finding.at)}: ` : "";
      return [
        `${LABELS[finding.severity]}  ${position}${finding.what}`,
        `    effect: ${finding.consequence}`,
        `    fix:    ${finding.advice}`,
      ].join("\n");
    })
    .join("\n\n");
}

export function obstaclesText(obstacles: readonly Obstacle[]): string {
  return obstacles
    .map((obstacle) => {
      const position = obstacle.at ? `${formatPosition(obstacle.at)}: ` : "";
      return `BLOCKED  ${position}${obstacle.what}\n    fix:    ${obstacle.advice}`;
    })
    .join("\n\n");
}

/** The text of a file for the terminal or a log. */
export function redactedText(state: Pick<FileState, "bytes"> | undefined): string | undefined {
  return state && hideSecrets(new TextDecoder().decode(state.bytes));
}

export function changesText(plan: Pick<Plan, "changes">): string {
  return plan.changes
    .map((change) =>
      unifiedDiff(change.path, redactedText(change.before), redactedText(change.after)),
    )
    .join("\n\n");
}

/** `docker.io, ghcr.io use http://cache:5000 first` */
export function wiredText({ wired, desired }: Pick<Plan, "wired" | "desired">): string {
  return `${wired.join(", ")} ${wired.length === 1 ? "uses" : "use"} ${desired.cache} first`;
}

/** The numbered steps of an apply, in the order of execution. */
export function stepsText(plan: Plan, { filesOnly, runtime }: NodeContext): string {
  const steps = [
    ...(filesOnly ? [] : [`wait until ${plan.desired.cache} serves ${plan.wired.join(", ")}`]),
    ...plan.changes.map((change) => {
      const verb = change.after === undefined ? "remove" : change.before ? "change" : "write";
      return `${verb} ${change.path} (${change.why})`;
    }),
    ...(filesOnly ? [] : restartSteps(plan, runtime)),
    ...(filesOnly
      ? [
          "no restart and no probe: with --root, only files are changed (--live for a node that runs)",
        ]
      : [
          `pull an image of each registry with ${runtime.title}, and check that the cache served it`,
        ]),
  ];
  return steps.map((step, index) => `${String(index + 1).padStart(3)}. ${step}`).join("\n");
}

function restartSteps(plan: Plan, runtime: Runtime): string[] {
  if (plan.restartReason === undefined) return [`no restart: ${runtime.withoutRestart}`];
  return [
    `restart ${runtime.title}, because ${plan.restartReason} (${plan.restartMethod}); containers keep running`,
    `check that CRI is ready and uses ${plan.certsDir}`,
  ];
}

export function probesText(probes: readonly ProbeResult[]): string {
  return proofRows(
    probes.map(({ namespace, outcome, reference, detail }) => ({
      name: namespace,
      state: outcome,
      lines: [...(reference === undefined ? [] : [shortReference(reference)]), detail],
    })),
  );
}

/** Columns of a terminal, or of a log in a browser, that are not wrapped. */
export const WIDTH = 100;

/** A registry on a line with its state, and what there is to say of it below. */
export function proofRows(
  rows: readonly { name: string; state: string; lines: readonly string[] }[],
): string {
  return rows
    .map(({ name, state, lines }) => {
      const details = lines.flatMap((line) => wrapped(line, WIDTH - 4));
      return [`  ${state.padEnd(8)}  ${name}`, ...details.map((line) => `    ${line}`)].join("\n");
    })
    .join("\n");
}

/** A reference with the first twelve digits of its digest, as runtimes show it. */
export function shortReference(reference: string): string {
  return reference.replace(/(@sha256:[0-9a-f]{12})[0-9a-f]+$/, "$1…");
}

/** Lines of at most `width` characters, broken between words where that is possible. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length <= width) {
      line = longer;
      continue;
    }
    if (line !== "") lines.push(line);
    const pieces = word.match(new RegExp(`.{1,${width}}`, "g")) ?? [];
    line = pieces.pop() ?? "";
    lines.push(...pieces);
  }
  return line === "" ? lines : [...lines, line];
}

/** Whether an apply of the plan changes the node. */
export function isChange({ changes, restartReason }: Plan): boolean {
  return changes.length > 0 || restartReason !== undefined;
}

export function planJson(plan: Plan, { asking }: AskedOfPlan): Readonly<Record<string, unknown>> {
  return {
    desired: plan.desired,
    changes: plan.changes.map((change) => ({
      path: change.path,
      kind: change.kind,
      why: change.why,
      before: redactedText(change.before) ?? null,
      after: redactedText(change.after) ?? null,
    })),
    restart: plan.restartReason ?? null,
    restartMethod: plan.restartMethod ?? null,
    wired: plan.wired,
    asking,
    notes: plan.notes,
    obstacles: plan.obstacles,
  };
}

export function printJson(value: unknown): void {
  print(printableJson(value));
}

/** Prints text that may quote the node's files: without credentials in URLs, and as what it is. */
export function print(text: string): void {
  console.log(printableLines(hideUserinfo(text)));
}
