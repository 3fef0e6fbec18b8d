import type { JournalDocument, JournalEntry } from "../journal.ts";
import { fromStored, isUnmodified, toStored } from "../journal.ts";
import type { ProbeResult } from "./probe.ts";
import { type FileState, lossyText } from "../files/node-files.ts";
import type { Change, Plan, DesiredState } from "../plan.ts";
import { sameState } from "../plan.ts";
import type { NodeContext } from "../node-context.ts";

/** What an apply records: the node, the desired state, and whether the cache's list is followed. */
export interface Wiring {
  readonly context: NodeContext;
  readonly desired: DesiredState;
  readonly all: boolean;
}

/** A journal without its format number and its explanation, which are added when it is written. */
export type JournalBody = Omit<JournalDocument, "format" | "about">;

export function sameDesiredState(
  earlier: JournalDocument | undefined,
  { desired, all }: Wiring,
): boolean {
  if (earlier === undefined) return false;
  return JSON.stringify(earlier.desired) === JSON.stringify(journalDesired(desired, all));
}

function journalDesired(desired: DesiredState, all: boolean): JournalDocument["desired"] {
  const { cache, cacheCa, namespaces, useDefault, adopt, replace, dialTimeout } = desired;
  return {
    cache,
    ...(cacheCa === undefined ? {} : { cacheCa }),
    namespaces: [...namespaces],
    all,
    useDefault,
    adopt,
    replace,
    dialTimeout,
  };
}

/**
 * The journal that has to be on disk before the first change. It holds every file's bytes before
 * and after the change.
 */
export function journalFor(
  { context, desired, all }: Wiring,
  plan: Plan,
  earlier: JournalDocument | undefined,
): Omit<JournalBody, "wasAlive"> {
  const files: Record<string, JournalEntry> = {};
  const madeDirectories = new Set(earlier?.madeDirectories);
  const targets = [...plan.targets, ...plan.changes.filter((change) => !isTarget(plan, change))];
  for (const target of targets) {
    const { path, kind, why } = target;
    const current = context.files.read(path);
    const entry = earlier?.files[path];
    const isOurs =
      entry !== undefined &&
      (isUnmodified(entry, current) ||
        (kind === "hosts" && mentionsCache(current, earlier?.desired.cache)));
    const unwired = entry && earlier && context.unwired(path, entry, earlier);
    const former = isOurs ? entry.original : toStored(current);
    const original = unwired ? toStored(unwired.state) : former;
    const missing = context.missingDirectories(path);
    const ownDirectory = kind === "config" ? [] : missing.splice(-1);
    for (const directory of missing) madeDirectories.add(directory);
    files[path] = {
      kind,
      why,
      original,
      wired: toStored(target.after),
      withoutCache: toStored(target.withoutCache),
      others: [
        toStored(current),
        ...(entry ? [entry.wired, entry.withoutCache, ...entry.others] : []),
      ],
      madeDirectory: (isOurs && entry.madeDirectory) || ownDirectory.length > 0,
    };
  }
  // A file that was modified since stays in the journal together with its original bytes.
  for (const [path, entry] of Object.entries(earlier?.files ?? {})) files[path] ??= entry;
  return {
    desired: journalDesired(desired, all),
    main: context.runtime.main,
    certsDir: plan.certsDir,
    madeDirectories: [...madeDirectories],
    restartDue: false,
    unfinished: null,
    ...(earlier?.proofs === undefined ? {} : { proofs: earlier.proofs }),
    files,
  };
}

/**
 * Whether a hosts.toml that was modified since it was written still names the cache. It must not
 * become the original: after a rollback to it, the node would still send requests to the cache.
 */
function mentionsCache(state: FileState | undefined, cache: string | undefined): boolean {
  return state !== undefined && cache !== undefined && lossyText(state.bytes).includes(cache);
}

function isTarget(plan: Plan, change: Change): boolean {
  return plan.targets.some((target) => target.path === change.path);
}

/**
 * The journal after a successful apply: without the files that were restored or never differed, and with
 * the images that proved it.
 */
export function finishedJournal(
  body: JournalBody,
  plan: Plan,
  probes: readonly ProbeResult[],
): JournalBody {
  const restored = new Set(
    plan.changes.filter((change) => !isTarget(plan, change)).map((change) => change.path),
  );
  const planned = new Set(plan.targets.map((target) => target.path));
  const files = Object.entries(body.files).filter(([path, { original, wired, withoutCache }]) => {
    const isChanged = !sameState(fromStored(original), fromStored(wired));
    // A watcher also has to remove the cache from a file of `entrepot render` that needed no change.
    const hasCache = planned.has(path) && !sameState(fromStored(wired), fromStored(withoutCache));
    return !restored.has(path) && (isChanged || hasCache);
  });
  const proofs = { ...body.proofs, ...proofsOf(probes) };
  const isProven = Object.keys(proofs).length > 0;
  return {
    ...body,
    ...(isProven ? { proofs } : {}),
    files: Object.fromEntries(files.map(([path, entry]) => [path, { ...entry, others: [] }])),
  };
}

/** The images that proved their registries. */
export function proofsOf(probes: readonly ProbeResult[]): Record<string, string> {
  return Object.fromEntries(
    probes.flatMap(({ namespace, reference, outcome }) =>
      outcome === "proven" && reference !== undefined ? [[namespace, reference]] : [],
    ),
  );
}
