import { Command } from "commander";
import type { Plan } from "../../node/plan.ts";
import { readCa } from "./ca-file.ts";
import type { DesiredStateOptions } from "./node-options.ts";
import { openCache, openNode, run, desiredState } from "./node-options.ts";
import {
  changesText,
  obstaclesText,
  planJson,
  printJson,
  stepsText,
  wiredText,
} from "./node-print.ts";

export function withDesiredState(command: Command): Command {
  return command
    .requiredOption("--cache <url>", "the cache, as nodes reach it: http://host:port")
    .option("--ca <file>", "the authority of an https:// cache's certificate, in PEM; it is copied")
    .option("--upstream <name...>", "wire these registries; whatever else was wired is taken back")
    .option("--all", "wire every registry that the cache serves (the default)")
    .option("--default", "send every other registry to the cache too, through _default")
    .option("--adopt", "take in hosts.toml files of others: their hosts stay, behind the cache")
    .option(
      "--replace",
      "leave the endpoints of old mirrors out; otherwise they stay, behind the cache",
    )
    .option(
      "--dial-timeout <duration>",
      "how long containerd 2.0.7 and newer try to reach the cache",
      "1s",
    );
}

export function planCommand(): Command {
  return withDesiredState(new Command("plan"))
    .description("show exactly what an apply would change, and in which steps; changes nothing")
    .action((options: DesiredStateOptions) => run(options.json, () => show(options)));
}

async function show(options: DesiredStateOptions): Promise<number> {
  const context = openNode(options);
  const cache = openCache(options.cache, options.ca === undefined ? undefined : readCa(options.ca));
  const { desired } = await desiredState(context, cache, options);
  const planned = await context.plan(desired);
  if (options.json) printJson(planJson(planned));
  else console.log(planText(planned, context.filesOnly));
  return planned.obstacles.length > 0 ? 1 : 0;
}

export function planText(plan: Plan, filesOnly: boolean): string {
  if (plan.obstacles.length > 0) {
    return `${obstaclesText(plan.obstacles)}\n\nNothing was changed, and nothing will be before this is settled.`;
  }
  if (plan.changes.length === 0 && plan.restart === undefined) {
    return `Nothing has to change: ${wiredText(plan)} already.`;
  }
  const notes = plan.notes.map((note) => `  - ${note}`).join("\n");
  return [
    changesText(plan),
    ...(notes === "" ? [] : [`Notes:\n${notes}`]),
    `Steps:\n${stepsText(plan, filesOnly)}`,
    "Nothing was changed. entrepot node apply with the same options does it.",
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}
