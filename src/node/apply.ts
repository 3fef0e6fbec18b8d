import type { CacheClient } from "./cache-client.ts";
import { CacheFault } from "./cache-client.ts";
import type { JournalBody } from "./apply-journal.ts";
import { finished, journalFor, sameDesiredState } from "./apply-journal.ts";
import type { JournalDocument } from "./journal.ts";
import { FilesFault } from "./files/node-files.ts";
import type { Plan, DesiredState } from "./plan.ts";
import { sameState, combine } from "./plan.ts";
import type { ProbeResult } from "./probe.ts";
import { asFailure, probe } from "./probe.ts";
import { RuntimeFault } from "./runtime.ts";
import type { NodeContext } from "./node-context.ts";

export interface ApplyOptions {
  readonly context: NodeContext;
  readonly desired: DesiredState;
  /** Whether the cache's list of namespaces is to be followed from then on. */
  readonly all: boolean;
  /** Absent where only files are touched. */
  readonly cache: CacheClient | undefined;
  /**
   * Whether a pull has to prove the wiring. Not where a watcher follows the cache's list: nothing is
   * restarted, the mirror was proved before, and the node may have no image of a new registry.
   */
  readonly proves: boolean;
  /** Images to prove it with. */
  readonly probes: readonly string[];
  /** How long the cache may take to answer for every namespace, in milliseconds. */
  readonly waitMs: number;
  readonly confirm: (plan: Plan) => Promise<boolean>;
  /** Told what is being done. */
  readonly say: (line: string) => void;
}

export type ApplyResult = { readonly plan: Plan } & (
  | { readonly outcome: "blocked" | "declined" | "nothing-to-do" }
  | { readonly outcome: "applied"; readonly probes: readonly ProbeResult[] }
  | {
      readonly outcome: "undone" | "not-undone";
      readonly reason: string;
      readonly probes: readonly ProbeResult[];
      /** What is left to do, where it could not be undone. */
      readonly remains: readonly string[];
    }
);

const ALIVE_MS = 60_000;

/** Something that keeps a node from being wired as it was asked; all is put back then. */
class NotWired extends Error {
  constructor(
    message: string,
    readonly probes: readonly ProbeResult[] = [],
  ) {
    super(message);
  }
}

/**
 * Wires the node, or leaves it as it was.
 *
 * @throws LockedError, JournalError, FilesFault, RuntimeFault and CacheFault before the first write.
 */
export function apply(options: ApplyOptions): Promise<ApplyResult> {
  return options.context.exclusively(() => applyAlone(options));
}

async function applyAlone(options: ApplyOptions): Promise<ApplyResult> {
  const { context, desired, cache, say } = options;
  const earlier = context.journal.read();
  if (earlier?.unfinished) say(`an earlier ${earlier.unfinished} was cut short: finishing it`);
  for (const path of Object.keys(earlier?.files ?? {})) context.durable.tidy(path);
  const plan = await context.plan(desired);
  if (plan.obstacles.length > 0) return { plan, outcome: "blocked" };
  const isDone = plan.changes.length === 0 && plan.restart === undefined && !earlier?.unfinished;
  if (isDone && sameDesiredState(earlier, options)) return { plan, outcome: "nothing-to-do" };
  if (!(await options.confirm(plan))) return { plan, outcome: "declined" };
  if (cache) await awaitCache(cache, plan.wired, options.waitMs, say);

  const wasAlive = earlier?.wasAlive ?? (await context.isAlive());
  const next = { ...journalFor(options, plan, earlier), wasAlive };
  context.journal.write({ ...next, unfinished: "apply", restartDue: plan.restart !== undefined });
  let probes: readonly ProbeResult[] = [];
  try {
    context.put(plan.changes, next, say);
    if (cache) {
      if (plan.restart !== undefined) await restart(context, plan, say);
      if (options.proves) probes = await prove(options, plan, cache);
    }
  } catch (error) {
    say(`it failed: ${error instanceof Error ? error.message : String(error)}`);
    const seen = error instanceof NotWired ? error.probes : probes;
    const remains = await undo(options, plan, earlier, next);
    // A mistake in this program is no reason to leave a node half done either.
    if (!isExpected(error)) throw error;
    const outcome = remains.length === 0 ? "undone" : "not-undone";
    return { plan, outcome, reason: error.message, probes: seen, remains };
  }
  context.journal.write(finished(next, plan));
  return { plan, outcome: "applied", probes };
}

function isExpected(error: unknown): error is Error {
  return (
    error instanceof NotWired ||
    error instanceof FilesFault ||
    error instanceof RuntimeFault ||
    error instanceof CacheFault
  );
}

/** Nothing points to a cache before it answers for what will be asked of it. */
async function awaitCache(
  cache: CacheClient,
  namespaces: readonly string[],
  waitMs: number,
  say: (line: string) => void,
): Promise<void> {
  const deadline = Date.now() + waitMs;
  say(`asking ${cache.url} whether it answers for ${namespaces.join(", ")}`);
  for (;;) {
    try {
      await cache.health();
      for (const namespace of namespaces) await cache.answersFor(namespace);
      return;
    } catch (error) {
      if (!(error instanceof CacheFault) || Date.now() >= deadline) throw error;
    }
    await Bun.sleep(500);
  }
}

async function restart(
  context: NodeContext,
  plan: Plan,
  say: (line: string) => void,
): Promise<void> {
  say(`restarting containerd (${plan.restartWay})`);
  await context.runtime.control.restart();
  const version = await context.runtime.control.alive(ALIVE_MS);
  await context.runtime.control.requireInForce(plan.certsDir);
  say(`CRI answers again (${version}) and goes by ${plan.certsDir}`);
}

/** @throws RuntimeFault where CRI answered before and does not now. */
export async function restartAsBefore(
  context: NodeContext,
  wasAlive: boolean,
  say: (line: string) => void,
): Promise<void> {
  say("restarting containerd with what it had before");
  await context.runtime.control.restart();
  try {
    say(`CRI answers again (${await context.runtime.control.alive(ALIVE_MS)})`);
  } catch (error) {
    if (wasAlive || !(error instanceof RuntimeFault)) throw error;
    say(`CRI does not answer, as it did not before: ${error.message}`);
  }
}

async function prove(
  { context, desired, probes: asked, say }: ApplyOptions,
  plan: Plan,
  cache: CacheClient,
): Promise<ProbeResult[]> {
  await context.runtime.control.alive(ALIVE_MS);
  const results: ProbeResult[] = [];
  for (const namespace of desired.namespaces) {
    const result = await probe(context.runtime, cache, namespace, asked).catch((error: unknown) =>
      asFailure(namespace, error),
    );
    say(`${namespace}: ${result.outcome} (${result.detail})`);
    results.push(result);
  }
  const bad = results.find(({ outcome }) => outcome === "missed" || outcome === "failed");
  if (bad) throw new NotWired(`${bad.namespace}: ${bad.detail}`, results);
  const isProven = results.some(({ outcome }) => outcome === "proven");
  if (!isProven && plan.wired.length > 0) {
    throw new NotWired("no pull proved the wiring: name an image with --probe IMAGE", results);
  }
  return results;
}

/** Puts everything back as it was before this run; returns what could not be. */
async function undo(
  { context, say }: ApplyOptions,
  plan: Plan,
  earlier: JournalDocument | undefined,
  next: JournalBody,
): Promise<string[]> {
  const remains: string[] = [];
  const attempt = async (what: string, act: () => void | Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      if (!isExpected(error)) throw error;
      remains.push(`${what}: ${error.message}`);
    }
  };
  const back = plan.changes
    .toReversed()
    .map(({ path, kind, before }) => ({ path, kind, after: before }));
  const restore = async (changes: typeof back): Promise<void> => {
    for (const group of combine(changes)) {
      await attempt(group.map((change) => change.path).join(", "), () => {
        const open = group.filter(({ path, after }) => !sameState(context.files.read(path), after));
        for (const { path } of group) context.durable.tidy(path);
        context.put(open, next, say);
      });
    }
  };
  // The configuration first: until the restart the runtime goes by the hosts directories.
  const configs = back.filter(({ kind }) => kind === "config");
  const isUntouched =
    configs.length > 0 &&
    earlier?.restartDue !== true &&
    configs.every(({ path, after }) => sameState(context.files.read(path), after));
  await restore(configs);
  // A configuration that could not be written was not restarted for either.
  if (plan.restart !== undefined && !isUntouched && !context.filesOnly) {
    await attempt("containerd", async () => {
      await restartAsBefore(context, next.wasAlive, say);
    });
  }
  await restore(back.filter(({ kind }) => kind !== "config"));
  for (const directory of next.madeDirectories.toReversed()) {
    if (earlier?.madeDirectories.includes(directory)) continue;
    await attempt(directory, () => context.durable.removeDirectory(directory));
  }
  if (remains.length > 0) return remains;
  if (earlier) context.journal.write({ ...earlier, restartDue: false });
  else context.journal.remove();
  return remains;
}
