import type { JournalDocument, JournalEntry } from "./journal.ts";
import { isOurs, restore, store } from "./journal.ts";
import { type FileState, lossyText } from "./files/node-files.ts";
import type { Change, Plan, DesiredState } from "./plan.ts";
import { sameState } from "./plan.ts";
import type { NodeContext } from "./node-context.ts";

/** What of an apply is kept: which node, what was asked for, and whether the cache's list is followed. */
export interface Wiring {
  readonly context: NodeContext;
  readonly desired: DesiredState;
  readonly all: boolean;
}

/** A journal's content; its form and its own explanation are added when it is written. */
export type JournalBody = Omit<JournalDocument, "format" | "about">;

export function sameDesiredState(
  earlier: JournalDocument | undefined,
  { desired, all }: Wiring,
): boolean {
  if (earlier === undefined) return false;
  return JSON.stringify(earlier.wish) === JSON.stringify(journalWish(desired, all));
}

function journalWish(desired: DesiredState, all: boolean): JournalDocument["wish"] {
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

/** The journal as it has to be on disk before the first change: it knows every byte of both sides. */
export function journalFor(
  { context, desired, all }: Wiring,
  plan: Plan,
  earlier: JournalDocument | undefined,
): Omit<JournalBody, "wasAlive"> {
  const files: Record<string, JournalEntry> = {};
  const made = new Set(earlier?.madeDirectories);
  const targets = [...plan.targets, ...plan.changes.filter((change) => !isTarget(plan, change))];
  for (const target of targets) {
    const { path, kind, why } = target;
    const current = context.files.read(path);
    const known = earlier?.files[path];
    const isKnown =
      known !== undefined &&
      (isOurs(known, current) || (kind === "hosts" && names(current, earlier?.wish.cache)));
    const original = isKnown ? known.original : store(current);
    const missing = context.missingDirectories(path);
    const own = kind === "config" ? [] : missing.splice(-1);
    for (const directory of missing) made.add(directory);
    files[path] = {
      kind,
      why,
      original,
      wired: store(target.after),
      out: store(target.out),
      others: [store(current), ...(known ? [known.wired, known.out, ...known.others] : [])],
      madeDirectory: (isKnown && known.madeDirectory) || own.length > 0,
    };
  }
  // What somebody has changed since stays on record with what stood there before.
  for (const [path, entry] of Object.entries(earlier?.files ?? {})) files[path] ??= entry;
  return {
    wish: journalWish(desired, all),
    main: context.runtime.main,
    certsDir: plan.certsDir,
    madeDirectories: [...made],
    restartDue: false,
    unfinished: null,
    files,
  };
}

/**
 * A hosts.toml of ours that somebody has changed since, and that names the cache still: were it what a
 * rollback puts back, the node would go on asking the cache after it.
 */
function names(state: FileState | undefined, cache: string | undefined): boolean {
  return state !== undefined && cache !== undefined && lossyText(state.bytes).includes(cache);
}

function isTarget(plan: Plan, change: Change): boolean {
  return plan.targets.some((target) => target.path === change.path);
}

export function finished(body: JournalBody, plan: Plan): JournalBody {
  const taken = new Set(
    plan.changes.filter((change) => !isTarget(plan, change)).map((change) => change.path),
  );
  const files = Object.entries(body.files).filter(
    ([path, entry]) =>
      !taken.has(path) && !sameState(restore(entry.original), restore(entry.wired)),
  );
  return {
    ...body,
    files: Object.fromEntries(files.map(([path, entry]) => [path, { ...entry, others: [] }])),
  };
}
