import { Command } from "commander";
import { CACHE_DIAL_TIMEOUT } from "../../config/containerd/hosts-toml.ts";
import type { NodeContext } from "../../node/node-context.ts";
import type { Plan } from "../../node/plan.ts";
import { type AskedOfPlan, askedOfPlan } from "./asked-credentials.ts";
import { readCa } from "./ca-file.ts";
import type { DesiredStateOptions } from "./node-options.ts";
import { DETAILED_EXITCODE } from "../usage-error.ts";
import { desiredState, narrow, openCache, remembered } from "./node-options.ts";
import {
  changesText,
  isChange,
  obstaclesText,
  planJson,
  stepsText,
  wiredText,
} from "./node-print.ts";
import type { OpenNodes, Outcome } from "./node-runtimes.ts";
import { onEachRuntime } from "./node-runtimes.ts";

/** Adds the options of plan and apply. */
export function withDesiredState(command: Command): Command {
  return command
    .requiredOption("--cache <url>", "the cache as the node reaches it: http://host:port")
    .option("--ca <file>", "the CA of an https:// cache's certificate, in PEM; the file is copied")
    .option("--upstream <name...>", "wire only these registries; all others are restored")
    .option("--all", "wire every registry that the cache serves (the default)")
    .option(
      "--default",
      "use the cache for every other registry too (not Podman, CRI-O and Docker's classic store)",
    )
    .option("--adopt", "take over files and entries of others: their hosts stay, after the cache")
    .option(
      "--replace",
      "drop the mirrors that are configured now; without it they stay, after the cache",
    )
    .option("--no-replace", "keep them although an earlier apply has dropped them")
    .option(
      "--dial-timeout <duration>",
      "how long containerd 2.0.7 and newer try to connect to the cache",
      CACHE_DIAL_TIMEOUT,
    );
}

interface PlanOptions extends DesiredStateOptions {
  readonly detailedExitcode?: true;
}

const CHANGES_PENDING = 2;

export function planCommand(): Command {
  return withDesiredState(new Command("plan"))
    .description("show what apply would change, as a diff and as steps; changes nothing")
    .option(
      DETAILED_EXITCODE,
      "exit with 0 if nothing is to change, with 2 if apply would change something, and with 1 for any error",
    )
    .action((options: PlanOptions) =>
      onEachRuntime(options, (context, nodes) => planNode(context, nodes, options)),
    );
}

async function planNode(
  context: NodeContext,
  { isAuto }: OpenNodes,
  options: PlanOptions,
): Promise<Outcome> {
  const cache = openCache(options.cache, options.ca === undefined ? undefined : readCa(options.ca));
  const { desired: whole, all, asking } = await desiredState(context.filesOnly, cache, options);
  const narrowed = await narrow(context, whole, !all && !isAuto);
  const { desired, notes: kept } = remembered(context, narrowed.desired, options);
  const notes = [...narrowed.notes, ...kept];
  const planned = await context.plan(desired);
  const asked = askedOfPlan(context, desired, asking);
  const plan = { ...planned, notes: [...notes, ...planned.notes, ...asked.notes] };
  const changed = isChange(plan);
  const isBlocked = plan.obstacles.length > 0;
  const code = isBlocked ? 1 : changed && options.detailedExitcode ? CHANGES_PENDING : 0;
  return {
    code,
    json: { command: "plan", changed, ...planJson(plan, asked) },
    text: planText(plan, context, asked),
    summary: [isBlocked ? "blocked: see above" : changed ? "changes pending" : "nothing to change"],
  };
}

function planText(plan: Plan, context: NodeContext, asked: AskedOfPlan): string {
  if (plan.obstacles.length > 0) {
    return `${obstaclesText(plan.obstacles)}\n\nNothing was changed. apply changes nothing until this is resolved.`;
  }
  if (plan.changes.length === 0 && plan.restartReason === undefined) {
    return [`Nothing to change: ${wiredText(plan)} already.`, ...asked.notes].join("\n\n");
  }
  const notes = plan.notes.map((note) => `  - ${note}`).join("\n");
  return [
    changesText(plan),
    ...(notes === "" ? [] : [`Notes:\n${notes}`]),
    `Steps:\n${stepsText(plan, context)}`,
    "Nothing was changed. Run entrepot node apply with the same options to apply the plan.",
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}
