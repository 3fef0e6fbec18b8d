import { restartWithOriginals } from "./apply.ts";
import type { JournalDocument, JournalEntry } from "../journal.ts";
import { fromStored, isUnmodified } from "../journal.ts";
import { FilesFault } from "../files/node-files.ts";
import type { FileState } from "../files/node-files.ts";
import type { Obstacle } from "../plan.ts";
import { sameState } from "../plan.ts";
import { reloadMirrors, withdrawnForms } from "./reload.ts";
import { RuntimeFault } from "../runtime.ts";
import type { NodeContext } from "../node-context.ts";

export interface RollbackOptions {
  readonly context: NodeContext;
  readonly confirm: (plan: RollbackPlan) => Promise<boolean>;
  readonly report: (line: string) => void;
}

/** A file that was modified after this tool wrote it. A rollback leaves it as it is. */
export interface ForeignFile {
  readonly path: string;
  /** In milliseconds since the epoch. Absent if the file was removed. */
  readonly changedAt?: number;
}

export interface RollbackPlan {
  readonly files: readonly {
    readonly path: string;
    readonly kind: JournalEntry["kind"];
    readonly before: FileState | undefined;
    readonly after: FileState | undefined;
    /** Whether others have edited it since: it keeps what they wrote, and loses the cache. */
    readonly isEdited: boolean;
  }[];
  readonly foreign: readonly ForeignFile[];
  readonly restartReason: string | undefined;
  readonly restartMethod: string | undefined;
  readonly obstacles: readonly Obstacle[];
}

export type RollbackResult = { readonly plan: RollbackPlan } & (
  | { readonly outcome: "nothing-to-do" | "declined" | "blocked" | "rolled-back" }
  /** Foreign files stay as they are. Everything else is restored. */
  | { readonly outcome: "partial" }
  | { readonly outcome: "failed"; readonly reason: string }
);

const EMPTY: RollbackPlan = {
  files: [],
  foreign: [],
  restartReason: undefined,
  restartMethod: undefined,
  obstacles: [],
};

/**
 * Restores every file that is still as this tool left it.
 *
 * @throws LockedError, JournalError, FilesFault
 */
export function rollback(options: RollbackOptions): Promise<RollbackResult> {
  return options.context.withLock(() => rollbackLocked(options));
}

async function rollbackLocked(options: RollbackOptions): Promise<RollbackResult> {
  const { context, confirm, report } = options;
  const journal = context.ownJournal();
  if (journal === undefined) return { plan: EMPTY, outcome: "nothing-to-do" };
  const plan = await planRollback(context, journal);
  if (plan.obstacles.length > 0) return { plan, outcome: "blocked" };
  if (!(await confirm(plan))) return { plan, outcome: "declined" };
  const restartDue = plan.restartReason !== undefined;
  context.journal.write({ ...journal, unfinished: "rollback", restartDue });
  try {
    const isConfig = ({ kind }: { kind: JournalEntry["kind"] }): boolean => kind === "config";
    // The configuration first: until the restart, the runtime reads the hosts directories.
    context.writeChanges(plan.files.filter(isConfig), journal, report);
    if (restartDue && !context.filesOnly) {
      await restartWithOriginals(context, journal.wasAlive, report);
    }
    // The files that a hosts.toml names come last: every pull fails if a certificate is missing.
    const others = plan.files.filter((it) => !isConfig(it)).toReversed();
    const isHosts = ({ kind }: { kind: JournalEntry["kind"] }): boolean => kind === "hosts";
    const due = new Set(plan.files.map(({ path }) => path));
    const withdrawn = withdrawnForms(
      context,
      wiredFiles(journal).filter(({ path }) => due.has(path)),
    );
    if (withdrawn.length > 0) {
      context.writeChanges(withdrawn, journal, report);
      await reloadMirrors(context);
    }
    context.writeChanges(others.filter(isHosts), journal, report);
    await reloadMirrors(context);
    context.writeChanges(
      others.filter((it) => !isHosts(it)),
      journal,
      report,
    );
    for (const path of Object.keys(journal.files)) context.durable.removeTemporaryFiles(path);
    for (const directory of journal.madeDirectories.toReversed())
      context.durable.removeDirectory(directory);
    const remaining = remainingJournal(context, journal, plan);
    if (remaining) context.journal.write(remaining);
    else context.journal.remove();
  } catch (error) {
    if (!(error instanceof FilesFault || error instanceof RuntimeFault)) throw error;
    return { plan, outcome: "failed", reason: error.message };
  }
  return { plan, outcome: plan.foreign.length === 0 ? "rolled-back" : "partial" };
}

/** The journal of the files that are not restored; undefined if there are none. */
function remainingJournal(
  context: NodeContext,
  journal: JournalDocument,
  plan: RollbackPlan,
): JournalDocument | undefined {
  if (plan.foreign.length === 0) return undefined;
  const foreign = new Set(plan.foreign.map((file) => file.path));
  const remaining = Object.entries(journal.files).filter(
    ([path, entry]) =>
      foreign.has(path) || !sameState(context.files.read(path), fromStored(entry.original)),
  );
  const files = Object.fromEntries(remaining);
  return { ...journal, files, unfinished: null, restartDue: false };
}

function wiredFiles(journal: JournalDocument) {
  return Object.entries(journal.files).map(([path, { kind, wired, withoutCache }]) => ({
    path,
    kind,
    after: fromStored(wired),
    withoutCache: fromStored(withoutCache),
  }));
}

/** What a rollback would do. Changes nothing. */
export async function planRollback(
  context: NodeContext,
  journal: JournalDocument,
): Promise<RollbackPlan> {
  const entries = Object.entries(journal.files).map(([path, entry]) => {
    const current = context.files.read(path);
    const original = fromStored(entry.original);
    const unwired = context.unwired(path, entry, journal);
    return { path, entry, current, unwired, isRestored: sameState(current, original) };
  });
  const foreign = entries.filter((it) => !it.isRestored && it.unwired === undefined);
  const isConfigForeign = foreign.some((it) => it.entry.kind === "config");
  const files = entries.flatMap(({ path, entry, current, unwired, isRestored }) => {
    if (isRestored || unwired === undefined) return [];
    // A foreign config.toml stays converted. Its former mirrors are only in hosts.toml now, so only
    // the cache is removed from there.
    const after =
      isConfigForeign && entry.kind !== "config" ? fromStored(entry.withoutCache) : unwired.state;
    if (sameState(current, after)) return [];
    const isEdited = !isUnmodified(entry, current);
    return [{ path, kind: entry.kind, before: current, after, isEdited }];
  });
  const config = files.find((file) => file.kind === "config");
  const isDue = config !== undefined || journal.restartDue;
  const reason = config
    ? `${config.path} changes`
    : "an earlier run was interrupted before the restart";
  const method =
    isDue && !context.filesOnly
      ? await context.runtime.control.service?.restartMethod()
      : undefined;
  return {
    files,
    foreign: foreign.map(({ path }) => {
      const changedAt = context.files.modifiedAt(path);
      return changedAt === undefined ? { path } : { path, changedAt };
    }),
    restartReason: isDue ? reason : undefined,
    restartMethod: method?.way,
    obstacles: method?.obstacles ?? [],
  };
}
