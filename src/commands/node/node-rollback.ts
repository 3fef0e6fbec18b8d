import { Command } from "commander";
import { unifiedDiff } from "../../node/files/diff.ts";
import type { RollbackPlan, RollbackResult } from "../../node/rollback.ts";
import { rollback } from "../../node/rollback.ts";
import { ask } from "./node-apply.ts";
import { obstaclesText, printJson, shownText } from "./node-print.ts";
import type { NodeOptions } from "./node-options.ts";
import { openNode, run } from "./node-options.ts";

interface RollbackOptions extends NodeOptions {
  readonly yes?: true;
}

export function rollbackCommand(): Command {
  return new Command("rollback")
    .description("put every byte back that apply changed and nobody has changed since")
    .option("--yes", "restart containerd without asking, where that is needed")
    .action((options: RollbackOptions) => run(options.json, () => takeBack(options)));
}

async function takeBack(options: RollbackOptions): Promise<number> {
  const context = openNode(options);
  const result = await rollback({
    context,
    confirm: async (plan) => {
      if (!options.json) console.log(`${diffText(plan)}\n`);
      if (plan.restart === undefined || context.filesOnly || options.yes) return true;
      return ask(`Restart containerd, since ${plan.restart}? Containers go on running.`);
    },
    say: (line) => {
      if (!options.json) console.log(line);
    },
  });
  if (options.json) {
    const { plan } = result;
    const files = plan.back.map((file) => file.path);
    const reason = result.outcome === "failed" ? result.reason : null;
    printJson({
      outcome: result.outcome,
      reason,
      files,
      foreign: plan.foreign,
      obstacles: plan.obstacles,
    });
  } else {
    console.log(resultText(result, context.filesOnly));
  }
  return result.outcome === "rolled-back" || result.outcome === "nothing-to-do" ? 0 : 1;
}

function diffText(plan: RollbackPlan): string {
  return plan.back
    .map((file) => unifiedDiff(file.path, shownText(file.before), shownText(file.after)))
    .join("\n\n");
}

function resultText(result: RollbackResult, filesOnly: boolean): string {
  const { plan } = result;
  const foreign = plan.foreign
    .map(({ path, changedAt }) => {
      const when =
        changedAt === undefined ? "is gone" : `changed at ${new Date(changedAt).toISOString()}`;
      return `\n  - ${path}: ${when}, by somebody else`;
    })
    .join("");
  switch (result.outcome) {
    case "nothing-to-do":
      return "Nothing is wired here: there is nothing to take back.";
    case "declined":
      return "Nothing was changed: the restart was not agreed to (--yes agrees beforehand).";
    case "blocked":
      return `${obstaclesText(plan.obstacles)}\n\nNothing was changed.`;
    case "rolled-back":
      return `Every byte is as it was before.${filesOnly ? " Only files were touched: nothing was restarted." : ""}`;
    case "partly":
      return `What was still as entrepot left it is back. Not entrepot's any more, and left as it is:${foreign}\nThe journal keeps what stood there before.`;
    case "failed":
      return `Not finished: ${result.reason}\nRun it again once that is settled: the journal keeps every byte.`;
  }
}
