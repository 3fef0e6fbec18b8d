import type { CacheClient } from "../cache-client.ts";
import { CacheFault } from "../cache-client.ts";
import type { JournalBody } from "./apply-journal.ts";
import { finishedJournal, journalFor, sameDesiredState } from "./apply-journal.ts";
import { generatedFiles, switchGenerated } from "./generated-files.ts";
import type { JournalDocument } from "../journal.ts";
import { fromStored } from "../journal.ts";
import { FilesFault } from "../files/node-files.ts";
import type { Plan, DesiredState } from "../plan.ts";
import { sameState, groupChanges } from "../plan.ts";
import type { ProbeImages, ProbeResult } from "./probe.ts";
import { failedProbe, probe } from "./probe.ts";
import { reloadMirrors, withdrawnForms } from "./reload.ts";
import { RuntimeFault } from "../runtime.ts";
import type { NodeContext } from "../node-context.ts";

export interface ApplyOptions {
  readonly context: NodeContext;
  readonly desired: DesiredState;
  /** Whether a watcher shall follow the cache's list of namespaces from now on. */
  readonly all: boolean;
  /** Absent if only files are changed. */
  readonly cache: CacheClient | undefined;
  /**
   * Whether a pull has to prove the wiring. False if a watcher follows the cache's list: nothing
   * is restarted, the mirror was proven before, and the node may have no image of a new registry.
   */
  readonly shouldProbe: boolean;
  /** References of images to pull as the proof. */
  readonly probeImages: ProbeImages["requested"];
  /** Whether a registry that no image proves fails the apply. */
  readonly requireProof?: boolean;
  /** How long to wait for the cache to serve every namespace, in milliseconds. */
  readonly waitMs: number;
  readonly confirm: (plan: Plan) => Promise<boolean>;
  /** Called with one line of progress at a time. */
  readonly report: (line: string) => void;
}

export type ApplyResult = { readonly plan: Plan } & (
  | { readonly outcome: "blocked" | "declined" | "nothing-to-do" }
  | {
      readonly outcome: "applied";
      readonly probes: readonly ProbeResult[];
      /** The program that proved the files of another root. Undefined if none could be run. */
      readonly provenBy: string | undefined;
      /** Why the journal still calls the apply unfinished. A rollback works, and so does another apply. */
      readonly journalFailure: string | undefined;
    }
  | {
      readonly outcome: "reverted" | "not-reverted";
      readonly reason: string;
      readonly probes: readonly ProbeResult[];
      /** What could not be reverted, one line each. Empty if the outcome is `reverted`. */
      readonly notReverted: readonly string[];
    }
);

const READY_MS = 60_000;

/** The node could not be wired as requested. Everything is reverted then. */
class WiringFailed extends Error {
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
  return options.context.withLock(() => applyLocked(options));
}

async function applyLocked(options: ApplyOptions): Promise<ApplyResult> {
  const { context, desired, cache, report } = options;
  const earlier = context.journal.read();
  if (earlier?.unfinished) report(`an earlier ${earlier.unfinished} was interrupted: finishing it`);
  for (const path of Object.keys(earlier?.files ?? {})) context.durable.removeTemporaryFiles(path);
  const plan = await context.plan(desired);
  if (plan.obstacles.length > 0) return { plan, outcome: "blocked" };
  const isDone =
    plan.changes.length === 0 &&
    plan.restartReason === undefined &&
    !earlier?.unfinished &&
    isRecorded(plan, earlier);
  if (isDone && sameDesiredState(earlier, options)) {
    if (earlier && !context.filesOnly) switchGenerated(context, earlier, "wired");
    await reloadMirrors(context);
    return { plan, outcome: "nothing-to-do" };
  }
  if (!(await options.confirm(plan))) return { plan, outcome: "declined" };
  if (cache) await waitForCache(cache, plan.wired, options.waitMs, report);

  const wasAlive = earlier?.wasAlive ?? (await context.isAlive());
  const next = { ...journalFor(options, plan, earlier), wasAlive };
  context.journal.write({
    ...next,
    unfinished: "apply",
    restartDue: plan.restartReason !== undefined,
  });
  let probes: readonly ProbeResult[] = [];
  let provenBy: string | undefined;
  try {
    context.writeChanges(plan.changes, next, report);
    if (cache) {
      if (plan.restartReason !== undefined) await restart(context, plan, report);
      await reloadMirrors(context);
      if (options.shouldProbe) probes = await probeAll(options, earlier, cache);
    }
    if (context.filesOnly) provenBy = await context.runtime.control.proveFiles?.(plan.certsDir);
  } catch (error) {
    report(`failed: ${error instanceof Error ? error.message : String(error)}`);
    const results = error instanceof WiringFailed ? error.probes : probes;
    const notReverted = await revert(options, plan, earlier, next);
    // A bug in this program must not leave a node half wired either.
    if (!isExpected(error)) throw error;
    const outcome = notReverted.length === 0 ? "reverted" : "not-reverted";
    return { plan, outcome, reason: error.message, probes: results, notReverted };
  }
  const generated = await generatedFiles(context, plan);
  const finished = { ...finishedJournal(next, plan, probes), ...generated };
  const journalFailure = attemptWrite(() => context.journal.write(finished));
  return { plan, outcome: "applied", probes, provenBy, journalFailure };
}

/** Whether the journal has the files as they are, and not as they were before somebody edited them. */
function isRecorded(plan: Plan, earlier: JournalDocument | undefined): boolean {
  return plan.targets.every(({ path, after }) => {
    const entry = earlier?.files[path];
    return entry === undefined || sameState(fromStored(entry.wired), after);
  });
}

/** What keeps a file from being written. */
function attemptWrite(write: () => void): string | undefined {
  try {
    write();
    return undefined;
  } catch (error) {
    if (!(error instanceof FilesFault)) throw error;
    return error.message;
  }
}

function isExpected(error: unknown): error is Error {
  return (
    error instanceof WiringFailed ||
    error instanceof FilesFault ||
    error instanceof RuntimeFault ||
    error instanceof CacheFault
  );
}

/** A node must not point to a cache before the cache serves every namespace that is wired to it. */
async function waitForCache(
  cache: CacheClient,
  namespaces: readonly string[],
  waitMs: number,
  report: (line: string) => void,
): Promise<void> {
  const deadline = Date.now() + waitMs;
  report(`checking that ${cache.url} serves ${namespaces.join(", ")}`);
  for (;;) {
    try {
      await cache.health();
      for (const namespace of namespaces) await cache.requireNamespace(namespace);
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
  report: (line: string) => void,
): Promise<void> {
  const { control, title } = context.runtime;
  report(`restarting ${title} (${plan.restartMethod})`);
  await control.service?.restart();
  const version = await control.waitUntilReady(READY_MS);
  await control.service?.requireInForce(plan);
  report(`CRI is ready again (${version}) and uses ${plan.certsDir}`);
}

/** @throws RuntimeFault if CRI was ready before the wiring and is not now. */
export async function restartWithOriginals(
  context: NodeContext,
  wasAlive: boolean,
  report: (line: string) => void,
): Promise<void> {
  const { control, title } = context.runtime;
  report(`restarting ${title} with its original configuration`);
  await control.service?.restart();
  try {
    report(`CRI is ready again (${await control.waitUntilReady(READY_MS)})`);
  } catch (error) {
    if (wasAlive || !(error instanceof RuntimeFault)) throw error;
    report(`CRI is not ready, and was not ready before the wiring either: ${error.message}`);
  }
}

async function probeAll(
  { context, desired, probeImages: requested, requireProof, report }: ApplyOptions,
  earlier: JournalDocument | undefined,
  cache: CacheClient,
): Promise<ProbeResult[]> {
  await context.runtime.control.waitUntilReady(READY_MS);
  const results: ProbeResult[] = [];
  const images = { requested, proofs: earlier?.proofs ?? {} };
  for (const namespace of desired.namespaces) {
    const result = await probe(context.runtime, cache, namespace, images).catch((error: unknown) =>
      failedProbe(namespace, error),
    );
    report(`${namespace}: ${result.outcome} (${result.detail})`);
    results.push(result);
  }
  const failure = results.find(({ outcome }) => outcome === "bypassed" || outcome === "failed");
  if (failure) throw new WiringFailed(`${failure.namespace}: ${failure.detail}`, results);
  const unproven = results.find(({ outcome }) => outcome === "unproven");
  if (requireProof && unproven) {
    const what = `${unproven.namespace} is unproven, and --require-proof was given: ${unproven.detail}`;
    throw new WiringFailed(what, results);
  }
  return results;
}

/** Restores everything as it was before this run. Returns what could not be restored. */
async function revert(
  { context, report }: ApplyOptions,
  plan: Plan,
  earlier: JournalDocument | undefined,
  next: JournalBody,
): Promise<string[]> {
  const notReverted: string[] = [];
  const attempt = async (what: string, act: () => void | Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      if (!isExpected(error)) throw error;
      notReverted.push(`${what}: ${error.message}`);
    }
  };
  const { runtime } = context;
  const reverse = plan.changes
    .toReversed()
    .map(({ path, kind, before }) => ({ path, kind, after: before }));
  const write = async (changes: typeof reverse): Promise<void> => {
    for (const group of groupChanges(changes)) {
      await attempt(group.map((change) => change.path).join(", "), () => {
        const due = group.filter(({ path, after }) => !sameState(context.files.read(path), after));
        for (const { path } of group) context.durable.removeTemporaryFiles(path);
        context.writeChanges(due, next, report);
      });
    }
  };
  // The configuration first: until the restart, the runtime reads the hosts directories.
  const configs = reverse.filter(({ kind }) => kind === "config");
  const isConfigUnchanged =
    configs.length > 0 &&
    earlier?.restartDue !== true &&
    configs.every(({ path, after }) => sameState(context.files.read(path), after));
  await write(configs);
  // If the configuration could not be written, the runtime was not restarted for it either.
  if (plan.restartReason !== undefined && !isConfigUnchanged && !context.filesOnly) {
    await attempt(runtime.title, async () => {
      await restartWithOriginals(context, next.wasAlive, report);
    });
  }
  const withdrawn = withdrawnForms(context, plan.changes);
  if (withdrawn.length > 0) {
    await write(withdrawn);
    await attempt(runtime.title, () => reloadMirrors(context));
  }
  await write(reverse.filter(({ kind }) => kind !== "config"));
  await attempt(runtime.title, () => reloadMirrors(context));
  for (const directory of next.madeDirectories.toReversed()) {
    if (earlier?.madeDirectories.includes(directory)) continue;
    await attempt(directory, () => context.durable.removeDirectory(directory));
  }
  if (notReverted.length > 0) return notReverted;
  await attempt("the journal", () => {
    if (earlier) context.journal.write({ ...earlier, restartDue: false });
    else context.journal.remove();
  });
  return notReverted;
}
