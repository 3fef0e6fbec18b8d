import { createInterface } from "node:readline/promises";
import { Command } from "commander";
import { parseDuration } from "../../config/parsing/units.ts";
import type { CacheClient } from "../../node/cache-client.ts";
import { CacheFault } from "../../node/cache-client.ts";
import type { ApplyResult } from "../../node/wiring/apply.ts";
import type { ProbeResult } from "../../node/wiring/probe.ts";
import type { NodeContext } from "../../node/node-context.ts";
import { apply } from "../../node/wiring/apply.ts";
import { type AskedOfPlan, askedOfPlan } from "./asked-credentials.ts";
import { readCa } from "./ca-file.ts";
import type { DesiredStateOptions } from "./node-options.ts";
import { UsageError, desiredState, narrow, openCache, remembered } from "./node-options.ts";
import {
  changesText,
  isChange,
  obstaclesText,
  planJson,
  print,
  probesText,
  wiredText,
} from "./node-print.ts";
import { withDesiredState } from "./node-plan.ts";
import { type Proof, type ReportOptions, withReport } from "./node-report.ts";
import type { OpenNodes, Outcome } from "./node-runtimes.ts";
import { onEachRuntime } from "./node-runtimes.ts";

interface ApplyOptions extends DesiredStateOptions, ReportOptions {
  readonly yes?: true;
  readonly probe?: readonly string[];
  readonly requireProof?: true;
  readonly wait: string;
  readonly keepWired?: true;
}

export function applyCommand(): Command {
  return withReport(withDesiredState(new Command("apply")))
    .description("wire this node and prove it by pulls through the cache, or revert all changes")
    .option("--yes", "restart the runtime without asking, if a restart is needed")
    .option(
      "--probe <image...>",
      "images to pull as the proof; by default one of each registry is chosen",
    )
    .option("--require-proof", "revert all changes if there is no image to prove a registry with")
    .option("--wait <duration>", "how long to wait for a cache that is starting", "0s")
    .option(
      "--keep-wired",
      "leave a node that is wired to this cache as it is while the cache does not respond, and succeed",
    )
    .action((options: ApplyOptions) =>
      onEachRuntime(options, (context, nodes) => applyNode(context, nodes, options), {
        rootCommand: "apply",
        report: options,
      }),
    );
}

async function applyNode(
  context: NodeContext,
  { isAuto }: OpenNodes,
  options: ApplyOptions,
): Promise<Outcome> {
  const waitMs = parseDuration(options.wait);
  if (waitMs === undefined)
    throw new UsageError(`--wait ${options.wait} is not a valid duration: write 30s`);
  const cache = openCache(options.cache, options.ca === undefined ? undefined : readCa(options.ca));
  if (!context.filesOnly) {
    const isKept = options.keepWired === true && isWiredTo(context, cache);
    try {
      await waitForCache(cache, isKept ? 0 : waitMs);
    } catch (error) {
      if (!isKept || !(error instanceof CacheFault)) throw error;
      const what = `${context.runtime.title} stays wired to ${cache.url}, which does not respond now: ${error.message}`;
      return { code: 0, json: { skipped: what }, text: what };
    }
  }
  const { desired: whole, all, asking } = await desiredState(context.filesOnly, cache, options);
  const narrowed = await narrow(context, whole, !all && !isAuto);
  const { desired, notes: kept } = remembered(context, narrowed.desired, options);
  const notes = [...narrowed.notes, ...kept];
  const result = await apply({
    context,
    desired,
    all,
    waitMs,
    cache: context.filesOnly ? undefined : cache,
    shouldProbe: true,
    probeImages: options.probe ?? [],
    requireProof: options.requireProof === true,
    confirm: async (plan) => {
      if (!options.json && plan.changes.length > 0) print(`${changesText(plan)}\n`);
      if (plan.restartReason === undefined || context.filesOnly || options.yes) return true;
      return confirmOnTerminal(
        `Restart ${context.runtime.title}, because ${plan.restartReason}? Containers keep running.`,
      );
    },
    report: (line) => {
      if (!options.json) print(line);
    },
  });
  const isApplied = result.outcome === "applied" && result.journalFailure === undefined;
  const asked = askedOfPlan(context, desired, asking);
  const plan = { ...result.plan, notes: [...notes, ...result.plan.notes, ...asked.notes] };
  const shown = { ...result, plan };
  return {
    code: isApplied || result.outcome === "nothing-to-do" ? 0 : 1,
    json: resultJson(shown, asked),
    text: resultText(shown, context, asked),
    proof: proofOf(result),
  };
}

/** Whether an earlier apply was finished with this cache. */
function isWiredTo(context: NodeContext, { url, ca }: CacheClient): boolean {
  const journal = context.ownJournal();
  const isSame = journal?.desired.cache === url && journal.desired.cacheCa === ca;
  return isSame && journal.unfinished === null && !journal.restartDue;
}

/** Where nothing was to be done, nothing was pulled either. */
function proofOf(result: ApplyResult): Proof {
  if (result.outcome !== "applied" || result.probes.length === 0) return undefined;
  return result.probes.every(({ outcome }) => outcome === "proven") ? "proven" : "unproven";
}

/** Waits for a cache that is starting. Does not wait if another kind of server responds. */
async function waitForCache(cache: CacheClient, waitMs: number): Promise<void> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    try {
      await cache.health();
      return;
    } catch (error) {
      const isTransient =
        error instanceof CacheFault && ["unreachable", "timeout"].includes(error.kind);
      if (!isTransient || Date.now() >= deadline) {
        // An error response may come from another kind of server. The next request tells which one.
        if (error instanceof CacheFault && error.kind === "unhealthy") return;
        if (!isTransient || waitMs > 0) throw error;
        const hint = "(--wait 30s waits for a cache that is starting)";
        throw new CacheFault(error.kind, `${error.message} ${hint}`, { cause: error });
      }
    }
    await Bun.sleep(500);
  }
}

/** Asks the operator for a confirmation. False if there is no terminal. The default answer is no. */
export async function confirmOnTerminal(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await prompt.question(`${question} [y/N] `);
  prompt.close();
  return /^y(?:es)?$/i.test(answer.trim());
}

function resultJson(result: ApplyResult, asked: AskedOfPlan): Outcome["json"] {
  const { plan, ...rest } = result;
  const isWritten = rest.outcome === "applied" || rest.outcome === "not-reverted";
  const changed = isWritten && isChange(plan);
  return { command: "apply", changed, ...rest, plan: planJson(plan, asked) };
}

function unprovenText(probes: readonly ProbeResult[]): string {
  const names = probes.flatMap(({ namespace, outcome }) =>
    outcome === "unproven" ? [namespace] : [],
  );
  if (names.length === 0) return "";
  return `\nUnproven, as there was no image to prove it with: ${names.join(", ")}. entrepot node verify --probe IMAGE proves it later.`;
}

function resultText(
  result: ApplyResult,
  { filesOnly, runtime }: NodeContext,
  asked: AskedOfPlan,
): string {
  const { plan } = result;
  switch (result.outcome) {
    case "blocked":
      return `${obstaclesText(plan.obstacles)}\n\nNothing was changed.`;
    case "declined":
      return "Nothing was changed: the restart was not confirmed (--yes confirms it in advance; the chart: nodes.allowRestart=true).";
    case "nothing-to-do":
      return [`Nothing to change: ${wiredText(plan)} already.`, ...asked.notes].join("\n");
    case "applied": {
      const notes = plan.notes.map((note) => `\n  - ${note}`).join("");
      const unread =
        runtime.name === "containerd"
          ? "no containerd read them (--containerd-binary FILE names one that can)"
          : `${runtime.title} has not read them`;
      const read =
        result.provenBy === undefined ? unread : `${result.provenBy} reads them as wired`;
      const proof = filesOnly
        ? `Only files were changed: nothing was restarted or probed, and ${read}.`
        : `Proof:\n${probesText(result.probes)}${unprovenText(result.probes)}`;
      const { journalFailure } = result;
      if (journalFailure !== undefined) {
        return `\nWired: ${wiredText(plan)}.${notes}\n${proof}\nBut the journal could not be completed: ${journalFailure}\nIt calls the apply unfinished: until entrepot node apply has run again, a watcher does not add a removed cache again. rollback works.`;
      }
      return `\nWired: ${wiredText(plan)}.${notes}\n${proof}\nNext: entrepot node verify proves it again, entrepot node watch removes the cache while it fails, entrepot node rollback reverts the wiring.`;
    }
    case "reverted":
      return `\nNot wired: ${result.reason}\nAll changes were reverted.`;
    case "not-reverted": {
      const lines = result.notReverted.map((line) => `\n  - ${line}`).join("");
      return `\nNot wired: ${result.reason}\nSome changes could not be reverted:${lines}\nNext: entrepot node rollback finishes this; entrepot node check shows the current state.`;
    }
  }
}
