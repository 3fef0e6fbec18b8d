import { posix } from "node:path";
import type { NodeFiles } from "../files/node-files.ts";
import type { Finding } from "../findings.ts";
import type { JournalDocument, JournalEntry } from "../journal.ts";
import { fromStored, hostsFilesWithoutCache, isWithoutCache } from "../journal.ts";
import type { NodeContext } from "../node-context.ts";
import { sameState } from "../plan.ts";
import { reloadMirrors } from "./reload.ts";

/** A file, or a directory with several of them, that is no longer as this tool left it. */
export interface Drift {
  /** The file, or the outermost directory that is missing. */
  readonly path: string;
  readonly kind: JournalEntry["kind"];
  /** original: it has its content from before the wiring again. */
  readonly state: "missing" | "original" | "modified";
  /** When it got its present state, in milliseconds since the epoch. */
  readonly changedAt: number | undefined;
  /** The files of the wiring that are concerned. */
  readonly files: readonly string[];
}

/** What configuration managers, agents and people changed since the wiring. */
export function driftOf(journal: JournalDocument, files: NodeFiles): Drift[] {
  const found = new Map<string, Drift>();
  for (const [file, entry] of Object.entries(journal.files)) {
    const current = files.read(file);
    const isAsLeft = sameState(current, fromStored(entry.wired));
    if (isAsLeft || isWithoutCache(journal, entry, current)) continue;
    const isOriginal = current !== undefined && sameState(current, fromStored(entry.original));
    const state = current === undefined ? "missing" : isOriginal ? "original" : "modified";
    const path = state === "missing" ? outermostMissing(file, files) : file;
    const earlier = found.get(path);
    const changedAt = files.changedAt(state === "missing" ? posix.dirname(path) : path);
    const concerned = [...(earlier?.files ?? []), file];
    found.set(path, { path, kind: entry.kind, state, changedAt, files: concerned });
  }
  return [...found.values()];
}

function outermostMissing(file: string, files: NodeFiles): string {
  let missing = file;
  while (posix.dirname(missing) !== "/" && !files.isDirectory(posix.dirname(missing)))
    missing = posix.dirname(missing);
  return missing;
}

/** `it is missing with its 3 files, since 2026-…`, to follow the path. */
export function driftText({ state, changedAt, files }: Drift): string {
  const what = {
    missing: files.length > 1 ? `it is missing, with ${files.length} files` : "it is missing",
    original: "it has its content from before the wiring again",
    modified: "it was modified",
  }[state];
  return `not as entrepot left it: ${what}${since(changedAt)}`;
}

/** Which of the registries that were wired lead to the cache first, as the files are now. */
export interface WiredNow {
  readonly namespaces: readonly string[];
  readonly lost: readonly string[];
}

/** @throws RuntimeFault if the route cannot be determined, FilesFault */
export async function wiredNow(context: NodeContext, journal: JournalDocument): Promise<WiredNow> {
  const namespaces: string[] = [];
  const lost: string[] = [];
  const { desired } = journal;
  const wired = [...desired.namespaces, ...(desired.useDefault ? ["_default"] : [])];
  for (const name of wired) {
    const { hosts, problems } = await context.runtime.route(context.files, name);
    const isFirst = hosts[0] === desired.cache && problems.length === 0;
    (isFirst ? namespaces : lost).push(name);
  }
  return { namespaces, lost };
}

/** Findings about a finished wiring that something else has changed since. */
export function driftFindings(
  context: NodeContext,
  journal: JournalDocument,
  { lost }: WiredNow,
): Finding[] {
  const { control, title, main } = context.runtime;
  const when = control.service === undefined ? "" : `, at the latest when ${title} starts again`;
  const isLost = lost.length > 0;
  const finding = (at: string, what: string, isShared = false): Finding => ({
    code: "drift",
    severity: isLost ? "error" : isShared ? "note" : "warning",
    at: { file: at },
    what,
    consequence: isLost
      ? `${lost.join(", ")}: pulls go to the registry directly${when}`
      : isShared
        ? "rollback takes only the cache out of it"
        : "rollback leaves it as it is",
    advice:
      isShared && !isLost
        ? "nothing has to be done; the next entrepot node apply takes note of it"
        : "run entrepot node apply again, and have whatever changed it leave it alone or write the same",
  });
  const findings = driftOf(journal, context.files).map((drift) => {
    const entry = journal.files[drift.path];
    const isShared =
      entry !== undefined && context.unwired(drift.path, entry, journal) !== undefined;
    return finding(drift.path, driftText(drift), isShared);
  });
  const isBypassed = hostsFilesWithoutCache(journal, context.files).length > 0;
  if (findings.length > 0 || lost.length === 0 || isBypassed) return findings;
  // Nothing that was written has changed, so it must be a file that was right before.
  const what = `the configuration no longer leads to ${journal.certsDir}`;
  return [
    finding(main, `not as entrepot found it: ${what}${since(context.files.changedAt(main))}`),
  ];
}

function since(changedAt: number | undefined): string {
  return changedAt === undefined ? "" : `, changed at ${new Date(changedAt).toISOString()}`;
}

export interface DriftWatchOptions {
  readonly context: NodeContext;
  /** Whether `repair` will be called: what it mends needs no advice. */
  readonly repair?: boolean;
  readonly report: (line: string) => void;
}

/** The part of a watcher that notices drift, and mends it if it is asked to. */
export class DriftWatch {
  readonly #options: DriftWatchOptions;
  #reported: ReadonlySet<string> = new Set();

  constructor(options: DriftWatchOptions) {
    this.#options = options;
  }

  /** Reports each change of the wired files by something else once. */
  report(journal: JournalDocument): void {
    const { context, repair, report } = this.#options;
    const lines = driftOf(journal, context.files).map((drift) => {
      const advice =
        repair && isRepairable(drift) ? "" : `: ${adviceFor(drift, context.runtime.title)}`;
      return `${drift.path} is ${driftText(drift)}${advice}`;
    });
    for (const line of lines) if (!this.#reported.has(line)) report(line);
    this.#reported = new Set(lines);
  }

  /**
   * Writes again what can be written without a restart and belongs to nobody else.
   *
   * @throws LockedError, JournalError, FilesFault, RuntimeFault
   */
  async repair(): Promise<void> {
    const { context, report } = this.#options;
    const written = await context.withLock(async () => {
      const journal = context.journal.read();
      if (journal === undefined || journal.unfinished) return [];
      const drifts = driftOf(journal, context.files).filter(isRepairable);
      const due = new Set(drifts.flatMap((drift) => drift.files));
      // Certificates come first, as the journal has them: every pull fails if one is missing.
      const changes = Object.entries(journal.files)
        .filter(([path]) => due.has(path))
        .map(([path, { kind, wired }]) => ({ path, kind, after: fromStored(wired) }));
      context.writeChanges(changes, journal, () => {});
      if (changes.length > 0) await reloadMirrors(context);
      return [...due];
    });
    if (written.length > 0) report(`wrote again, as they were wired: ${written.join(", ")}`);
  }
}

/** Whether a watcher may write it again: what somebody else edited is theirs. */
function isRepairable({ kind, state }: Drift): boolean {
  return kind !== "config" && state !== "modified";
}

function adviceFor({ kind, state }: Drift, title: string): string {
  if (kind === "config") return `this needs a restart of ${title}: run entrepot node apply again`;
  return state === "modified"
    ? "it is left as it is; run entrepot node apply again"
    : "run entrepot node apply again";
}
