import { createInterface } from "node:readline/promises";
import { Command } from "commander";
import { parseDuration } from "../../config/parsing/units.ts";
import type { CacheClient } from "../../node/cache-client.ts";
import { CacheFault } from "../../node/cache-client.ts";
import type { ApplyResult } from "../../node/apply.ts";
import { apply } from "../../node/apply.ts";
import { readCa } from "./ca-file.ts";
import type { DesiredStateOptions } from "./node-options.ts";
import { WrongUse, openCache, openNode, run, desiredState } from "./node-options.ts";
import {
  changesText,
  obstaclesText,
  planJson,
  printJson,
  probesText,
  wiredText,
} from "./node-print.ts";
import { withDesiredState } from "./node-plan.ts";

interface ApplyOptions extends DesiredStateOptions {
  readonly yes?: true;
  readonly probe?: readonly string[];
  readonly wait: string;
}

export function applyCommand(): Command {
  return withDesiredState(new Command("apply"))
    .description("wire this node, prove it by pulls that the cache saw, or put everything back")
    .option("--yes", "restart containerd without asking, where that is needed")
    .option(
      "--probe <image...>",
      "images to prove it with; one of each registry is chosen otherwise",
    )
    .option("--wait <duration>", "how long the cache may take to answer", "30s")
    .action((options: ApplyOptions) => run(options.json, () => applyWish(options)));
}

async function applyWish(options: ApplyOptions): Promise<number> {
  const waitMs = parseDuration(options.wait);
  if (waitMs === undefined) throw new WrongUse(`--wait ${options.wait} is no duration: write 30s`);
  const context = openNode(options);
  const cache = openCache(options.cache, options.ca === undefined ? undefined : readCa(options.ca));
  if (!context.filesOnly) await reach(cache, waitMs);
  const { desired, all } = await desiredState(context, cache, options);
  const result = await apply({
    context,
    desired,
    all,
    waitMs,
    cache: context.filesOnly ? undefined : cache,
    proves: true,
    probes: options.probe ?? [],
    confirm: async (plan) => {
      if (!options.json && plan.changes.length > 0) console.log(`${changesText(plan)}\n`);
      if (plan.restart === undefined || context.filesOnly || options.yes) return true;
      return ask(`Restart containerd, since ${plan.restart}? Containers go on running.`);
    },
    say: (line) => {
      if (!options.json) console.log(line);
    },
  });
  if (options.json) printJson(resultJson(result));
  else console.log(resultText(result, context.filesOnly));
  return result.outcome === "applied" || result.outcome === "nothing-to-do" ? 0 : 1;
}

/** Waits for a cache that is only just starting; one that is something else is not waited for. */
async function reach(cache: CacheClient, waitMs: number): Promise<void> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    try {
      await cache.health();
      return;
    } catch (error) {
      const isPassing =
        error instanceof CacheFault && ["unreachable", "timeout"].includes(error.kind);
      if (!isPassing || Date.now() >= deadline) {
        // What answers with an error there may be no cache at all: asking on tells which it is.
        if (error instanceof CacheFault && error.kind === "unwell") return;
        throw error;
      }
    }
    await Bun.sleep(500);
  }
}

/** Without a terminal nobody can agree, and silence is a no. */
export async function ask(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await prompt.question(`${question} [y/N] `);
  prompt.close();
  return /^y(?:es)?$/i.test(answer.trim());
}

function resultJson(result: ApplyResult): object {
  const { plan, ...rest } = result;
  return { ...rest, plan: planJson(plan) };
}

function resultText(result: ApplyResult, filesOnly: boolean): string {
  const { plan } = result;
  switch (result.outcome) {
    case "blocked":
      return `${obstaclesText(plan.obstacles)}\n\nNothing was changed.`;
    case "declined":
      return "Nothing was changed: the restart was not agreed to (--yes agrees beforehand).";
    case "nothing-to-do":
      return `Nothing had to change: ${wiredText(plan)} already.`;
    case "applied": {
      const notes = plan.notes.map((note) => `\n  - ${note}`).join("");
      const proof = filesOnly
        ? "Only files were touched: nothing was restarted and nothing probed."
        : `Proof:\n${probesText(result.probes)}`;
      return `\nWired: ${wiredText(plan)}.${notes}\n${proof}\nNext: entrepot node verify proves it again, entrepot node watch keeps it so, entrepot node rollback takes it back.`;
    }
    case "undone":
      return `\nNot wired: ${result.reason}\nEverything is as it was before.`;
    case "not-undone": {
      const remains = result.remains.map((line) => `\n  - ${line}`).join("");
      return `\nNot wired: ${result.reason}\nNot all could be put back:${remains}\nNext: entrepot node rollback finishes this; entrepot node check says how things stand.`;
    }
  }
}
