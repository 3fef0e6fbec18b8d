import { restartAsBefore } from "./apply.ts";
import type { JournalDocument, JournalEntry } from "./journal.ts";
import { isOurs, restore } from "./journal.ts";
import { FilesFault } from "./files/node-files.ts";
import type { FileState } from "./files/node-files.ts";
import type { Obstacle } from "./plan.ts";
import { sameState } from "./plan.ts";
import { RuntimeFault } from "./runtime.ts";
import type { NodeContext } from "./node-context.ts";

export interface RollbackOptions {
  readonly context: NodeContext;
  readonly confirm: (plan: RollbackPlan) => Promise<boolean>;
  readonly say: (line: string) => void;
}

/** A file that is not as this tool left it: somebody else's work now, which stays. */
export interface ForeignFile {
  readonly path: string;
  /** In milliseconds of the epoch; absent where the file is gone. */
  readonly changedAt?: number;
}

export interface RollbackPlan {
  readonly back: readonly {
    readonly path: string;
    readonly kind: JournalEntry["kind"];
    readonly before: FileState | undefined;
    readonly after: FileState | undefined;
  }[];
  readonly foreign: readonly ForeignFile[];
  readonly restart: string | undefined;
  readonly restartWay: string | undefined;
  readonly obstacles: readonly Obstacle[];
}

export type RollbackResult = { readonly plan: RollbackPlan } & (
  | { readonly outcome: "nothing-to-do" | "declined" | "blocked" | "rolled-back" }
  /** Files of somebody else stay as they are; everything that is still ours is back. */
  | { readonly outcome: "partly" }
  | { readonly outcome: "failed"; readonly reason: string }
);

const EMPTY: RollbackPlan = {
  back: [],
  foreign: [],
  restart: undefined,
  restartWay: undefined,
  obstacles: [],
};

/**
 * Puts every byte back that is still as this tool left it.
 *
 * @throws LockedError, JournalError, FilesFault
 */
export function rollback(options: RollbackOptions): Promise<RollbackResult> {
  return options.context.exclusively(() => rollbackAlone(options));
}

async function rollbackAlone({ context, confirm, say }: RollbackOptions): Promise<RollbackResult> {
  const journal = context.ownJournal();
  if (journal === undefined) return { plan: EMPTY, outcome: "nothing-to-do" };
  const plan = await planRollback(context, journal);
  if (plan.obstacles.length > 0) return { plan, outcome: "blocked" };
  if (!(await confirm(plan))) return { plan, outcome: "declined" };
  const restartDue = plan.restart !== undefined;
  context.journal.write({ ...journal, unfinished: "rollback", restartDue });
  try {
    const isConfig = ({ kind }: { kind: JournalEntry["kind"] }): boolean => kind === "config";
    // The configuration first: until the restart containerd goes by the hosts directories.
    context.put(plan.back.filter(isConfig), journal, say);
    if (restartDue && !context.filesOnly) {
      await restartAsBefore(context, journal.wasAlive, say);
    }
    // What hosts.toml files name goes after them: a missing certificate fails every pull.
    const others = plan.back.filter((it) => !isConfig(it)).toReversed();
    const isHosts = ({ kind }: { kind: JournalEntry["kind"] }): boolean => kind === "hosts";
    context.put(others.filter(isHosts), journal, say);
    context.put(
      others.filter((it) => !isHosts(it)),
      journal,
      say,
    );
    for (const path of Object.keys(journal.files)) context.durable.tidy(path);
    for (const directory of journal.madeDirectories.toReversed())
      context.durable.removeDirectory(directory);
  } catch (error) {
    if (!(error instanceof FilesFault || error instanceof RuntimeFault)) throw error;
    return { plan, outcome: "failed", reason: error.message };
  }
  if (plan.foreign.length === 0) {
    context.journal.remove();
    return { plan, outcome: "rolled-back" };
  }
  const foreign = new Set(plan.foreign.map((file) => file.path));
  const kept = Object.entries(journal.files).filter(
    ([path, entry]) =>
      foreign.has(path) || !sameState(context.files.read(path), restore(entry.original)),
  );
  const files = Object.fromEntries(kept);
  context.journal.write({ ...journal, files, unfinished: null, restartDue: false });
  return { plan, outcome: "partly" };
}

/** What a rollback would do; changes nothing. */
export async function planRollback(
  context: NodeContext,
  journal: JournalDocument,
): Promise<RollbackPlan> {
  const entries = Object.entries(journal.files).map(([path, entry]) => {
    const current = context.files.read(path);
    const original = restore(entry.original);
    return { path, entry, current, original, isBack: sameState(current, original) };
  });
  const foreign = entries.filter((it) => !it.isBack && !isOurs(it.entry, it.current));
  const keepsConfig = foreign.some((it) => it.entry.kind === "config");
  const back = entries.flatMap(({ path, entry, current, original, isBack }) => {
    if (isBack || !isOurs(entry, current)) return [];
    // The mirrors that were once in a config.toml which is somebody else's now would be lost with
    // their hosts.toml: only the cache leaves it.
    const after = keepsConfig && entry.kind !== "config" ? restore(entry.out) : original;
    if (sameState(current, after)) return [];
    return [{ path, kind: entry.kind, before: current, after }];
  });
  const config = back.find((file) => file.kind === "config");
  const isDue = config !== undefined || journal.restartDue;
  const reason = config ? `${config.path} changes` : "an earlier run was cut short before it";
  const way = isDue && !context.filesOnly ? context.runtime.control.restartWay() : undefined;
  return {
    back,
    foreign: foreign.map(({ path }) => {
      const changedAt = context.files.modifiedAt(path);
      return changedAt === undefined ? { path } : { path, changedAt };
    }),
    restart: isDue ? reason : undefined,
    restartWay: way?.way,
    obstacles: way?.obstacles ?? [],
  };
}
