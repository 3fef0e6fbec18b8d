import { setTimeout } from "node:timers/promises";
import { Command } from "commander";
import { unifiedDiff } from "../../node/files/diff.ts";
import type { NodeContext } from "../../node/node-context.ts";
import type { RollbackPlan, RollbackResult } from "../../node/wiring/rollback.ts";
import { rollback } from "../../node/wiring/rollback.ts";
import { confirmOnTerminal } from "./node-apply.ts";
import { obstaclesText, print, redactedText } from "./node-print.ts";
import { type NodeOptions, isExpected } from "./node-options.ts";
import { type ReportOptions, withReport } from "./node-report.ts";
import type { Outcome } from "./node-runtimes.ts";
import { onEachRuntime, openNodes } from "./node-runtimes.ts";

interface RollbackOptions extends NodeOptions, ReportOptions {
  readonly yes?: true;
  readonly stay?: true;
}

/** How often a node that was rolled back is looked at, in milliseconds. */
const STAY_INTERVAL_MS = 10_000;

export function rollbackCommand(): Command {
  return withReport(new Command("rollback"))
    .description("restore every file that apply changed, unless it was modified since")
    .option("--yes", "restart the runtime without asking, if a restart is needed")
    .option("--stay", "stay until stopped, and roll back again whatever wires the node meanwhile")
    .action(async (options: RollbackOptions) => {
      await rollbackOnce(options);
      if (options.stay) await stay(options);
    });
}

function rollbackOnce(options: RollbackOptions): Promise<void> {
  return onEachRuntime(options, (context) => rollbackNode(context, options), {
    rootCommand: "rollback",
    report: options,
  });
}

/** Ends as it would without having stayed: the last rollback decides over the exit code. */
async function stay(options: RollbackOptions): Promise<void> {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
    process.once(signal, () => stop.abort());
  while (!stop.signal.aborted) {
    // An aborted sleep ends the loop.
    await setTimeout(STAY_INTERVAL_MS, undefined, { signal: stop.signal }).catch(() => {});
    if (!stop.signal.aborted && isWired(options)) await rollbackOnce(options);
  }
}

function isWired(options: RollbackOptions): boolean {
  return openNodes(options).contexts.some((context) => {
    try {
      return context.ownJournal() !== undefined;
    } catch (error) {
      // A rollback tells of a journal that it cannot use.
      if (isExpected(error)) return true;
      throw error;
    }
  });
}

async function rollbackNode(context: NodeContext, options: RollbackOptions): Promise<Outcome> {
  const result = await rollback({
    context,
    confirm: async (plan) => {
      if (!options.json) print(`${diffText(plan)}\n`);
      if (plan.restartReason === undefined || context.filesOnly || options.yes) return true;
      return confirmOnTerminal(
        `Restart ${context.runtime.title}, because ${plan.restartReason}? Containers keep running.`,
      );
    },
    report: (line) => {
      if (!options.json) print(line);
    },
  });
  const { plan, outcome } = result;
  const files = plan.files.map((file) => file.path);
  const changed = ["rolled-back", "partial", "failed"].includes(outcome) && files.length > 0;
  const reason = result.outcome === "failed" ? result.reason : null;
  return {
    code: outcome === "rolled-back" || outcome === "nothing-to-do" ? 0 : 1,
    json: {
      command: "rollback",
      changed,
      outcome,
      reason,
      files,
      foreign: plan.foreign,
      obstacles: plan.obstacles,
    },
    text: resultText(result, context.filesOnly),
  };
}

function restoredText({ files }: RollbackPlan): string {
  const edited = files.filter((file) => file.isEdited).map((file) => file.path);
  if (edited.length === 0) return "All files are restored byte for byte.";
  return `The wiring is undone. Edited since, and now the same without the cache: ${edited.join(", ")}.`;
}

function diffText(plan: RollbackPlan): string {
  return plan.files
    .map((file) => unifiedDiff(file.path, redactedText(file.before), redactedText(file.after)))
    .join("\n\n");
}

function resultText(result: RollbackResult, filesOnly: boolean): string {
  const { plan } = result;
  const foreign = plan.foreign
    .map(({ path, changedAt }) => {
      return changedAt === undefined
        ? `\n  - ${path}: removed`
        : `\n  - ${path}: modified at ${new Date(changedAt).toISOString()}`;
    })
    .join("");
  switch (result.outcome) {
    case "nothing-to-do":
      return "This node is not wired: there is nothing to roll back.";
    case "declined":
      return "Nothing was changed: the restart was not confirmed (--yes confirms it in advance).";
    case "blocked":
      return `${obstaclesText(plan.obstacles)}\n\nNothing was changed.`;
    case "rolled-back":
      return `${restoredText(plan)}${filesOnly ? " Only files were changed: nothing was restarted." : ""}`;
    case "partial":
      return `All files are restored, except those that were modified or removed after entrepot wrote them. They were left as they are:${foreign}\nThe journal keeps their original content.`;
    case "failed":
      return `Not finished: ${result.reason}\nRun it again once this is resolved: the journal keeps the original files.`;
  }
}
