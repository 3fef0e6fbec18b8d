import { posix } from "node:path";
import type { SyscallHook } from "./files/durable-files.ts";
import { DurableFiles } from "./files/durable-files.ts";
import type { JournalDocument, JournalEntry } from "./journal.ts";
import { Journal, JournalError, fromStored, isUnmodified } from "./journal.ts";
import { acquireLock } from "./files/lock.ts";
import type { FileState, NodeFiles } from "./files/node-files.ts";
import { OverlaidFiles } from "./files/node-files.ts";
import type { Change, Obstacle, Plan, Target, DesiredState } from "./plan.ts";
import { sameState, groupChanges } from "./plan.ts";
import type { Runtime } from "./runtime.ts";
import { RuntimeFault } from "./runtime.ts";

const READY_CHECK_MS = 3_000;

export interface NodeContextOptions {
  readonly files: NodeFiles;
  readonly runtime: Runtime;
  readonly stateDirectory: string;
  readonly filesOnly: boolean;
  readonly beforeSyscall?: SyscallHook;
}

/** A node with its files, its runtime, and the journal of what this tool changed. */
export class NodeContext {
  readonly files: NodeFiles;
  readonly durable: DurableFiles;
  readonly journal: Journal;
  readonly runtime: Runtime;
  /** Whether only files are changed (`--root` without `--live`): there is no running runtime to query or restart. */
  readonly filesOnly: boolean;
  readonly #stateDirectory: string;

  constructor(options: NodeContextOptions) {
    this.files = options.files;
    this.runtime = options.runtime;
    this.filesOnly = options.filesOnly;
    this.#stateDirectory = options.stateDirectory;
    this.durable = new DurableFiles(options.files, options.beforeSyscall);
    this.journal = new Journal(options.stateDirectory, options.files, this.durable);
  }

  /**
   * Runs `work` under the exclusive lock of the node, so that no other run of this tool changes it.
   *
   * @throws LockedError if another run holds the lock, FilesFault
   */
  async withLock<T>(work: () => T | Promise<T>): Promise<T> {
    this.durable.makeDirectory(this.#stateDirectory, 0o700);
    const lock = acquireLock(this.files.resolve(this.#stateDirectory), this.#stateDirectory);
    try {
      return await work();
    } finally {
      lock[Symbol.dispose]();
    }
  }

  /**
   * Compares the node with the desired state. Changes nothing.
   *
   * @throws JournalError, FilesFault, RuntimeFault
   */
  async plan(desired: DesiredState): Promise<Plan> {
    const journal = this.ownJournal(this.runtime.main);
    const view = new OverlaidFiles(this.files, this.#unwiredFiles(journal));
    const planned = await this.runtime.targets(
      { now: view, before: this.#viewBeforeWiring(journal) },
      desired,
    );
    const changes = this.#changes(planned.targets, journal, planned.obstacles.length > 0);
    const config = changes.find((change) => change.kind === "config");
    const due = journal?.restartDue
      ? "an earlier run was interrupted before the restart"
      : planned.stale;
    const restartReason = config ? `${config.path} changes` : due;
    const method =
      restartReason === undefined || this.filesOnly
        ? undefined
        : await this.runtime.control.service?.restartMethod();
    return {
      desired,
      targets: planned.targets,
      changes,
      restartReason,
      restartMethod: method?.way,
      certsDir: planned.certsDir,
      wired: [...desired.namespaces, ...(desired.useDefault ? ["_default"] : [])],
      notes: [
        ...planned.notes,
        ...this.#notesOnForeignFiles(journal),
        ...this.#notesOnHardLinks(changes),
      ],
      obstacles: [
        ...planned.obstacles,
        ...(method?.obstacles ?? []),
        ...(method === undefined || journal?.restartDue || journal?.unfinished
          ? []
          : await this.#untestedConfiguration(planned.stale)),
      ],
    };
  }

  /**
   * Blocks a restart that would load foreign changes for the first time. The runtime may not start
   * with a configuration that was edited since its last start, and a revert would not undo the edit.
   */
  async #untestedConfiguration(stale: string | undefined): Promise<Obstacle[]> {
    if (stale === undefined || !(await this.isAlive())) return [];
    const { title } = this.runtime;
    const what = `${stale}, and not by this tool: it is not known whether ${title} starts with it`;
    const advice = `restart ${title} first, check that pods start, and then run plan or apply again`;
    return [{ code: "untested-configuration", what, advice }];
  }

  /** Whether the runtime is ready. Always true if only files are changed. */
  async isAlive(): Promise<boolean> {
    if (this.filesOnly) return true;
    try {
      await this.runtime.control.waitUntilReady(READY_CHECK_MS);
      return true;
    } catch (error) {
      if (error instanceof RuntimeFault) return false;
      throw error;
    }
  }

  /**
   * The journal of this runtime, or undefined if it is not wired. If the runtime is stopped and no
   * option names its configuration, the journal is taken to be its own: a rollback has to work
   * without a running runtime.
   *
   * @param mainConfig path of the main configuration file of the runtime in question
   * @throws JournalError if the journal is damaged or belongs to another runtime, FilesFault
   */
  ownJournal(mainConfig = this.runtime.knownMain): JournalDocument | undefined {
    const journal = this.journal.read();
    const main = mainConfig ?? journal?.main;
    if (journal === undefined || journal.main === main) return journal;
    throw new JournalError(
      "journal-mismatch",
      { file: this.journal.path },
      `it belongs to the ${this.runtime.title} that is configured by ${journal.main}, and this one is configured by ${main}`,
      `give each ${this.runtime.title} its own --state-dir, or select the other one with --socket or --containerd-config`,
    );
  }

  /**
   * What a file becomes when its wiring is undone: its original, or the present file without the cache if
   * others have settings in it and edited it. Undefined if it is not known, and has to stay as it is.
   *
   * @throws FilesFault
   */
  unwired(
    path: string,
    entry: JournalEntry,
    { desired }: Pick<JournalDocument, "desired">,
  ): { readonly state: FileState | undefined } | undefined {
    const current = this.files.read(path);
    const original = fromStored(entry.original);
    if (isUnmodified(entry, current)) return { state: original };
    const { cache } = desired;
    const state = current && this.runtime.unwired?.(path, current, { cache, original });
    return state && { state };
  }

  #unwiredFiles(journal: JournalDocument | undefined): Map<string, FileState | undefined> {
    const found = new Map<string, FileState | undefined>();
    for (const [path, entry] of Object.entries(journal?.files ?? {})) {
      const unwired = journal && this.unwired(path, entry, journal);
      if (unwired) found.set(path, unwired.state);
    }
    return found;
  }

  /** The node's files before the wiring, even those that were modified since. */
  #viewBeforeWiring(journal: JournalDocument | undefined): OverlaidFiles {
    const files = Object.entries(journal?.files ?? {});
    return new OverlaidFiles(
      this.files,
      new Map(files.map(([path, entry]) => [path, fromStored(entry.original)])),
    );
  }

  #changes(
    targets: readonly Target[],
    journal: JournalDocument | undefined,
    isBlocked: boolean,
  ): Change[] {
    if (isBlocked) return [];
    const changes: Change[] = [];
    const planned = new Set(targets.map((target) => target.path));
    for (const target of targets) {
      const before = this.files.read(target.path);
      if (!sameState(before, target.after)) changes.push({ ...target, before });
    }
    for (const [path, entry] of Object.entries(journal?.files ?? {})) {
      const before = this.files.read(path);
      const unwired = journal && this.unwired(path, entry, journal);
      if (planned.has(path) || unwired === undefined) continue;
      const after = unwired.state;
      if (sameState(before, after)) continue;
      changes.push({
        path,
        kind: entry.kind,
        before,
        after,
        withoutCache: after,
        why: `${entry.why}: restored`,
      });
    }
    // hosts.toml files are restored after the configuration, because they may be in use until the
    // restart. The files that they name come last: every pull fails if a certificate is missing.
    const rank = (change: Change): number => {
      if (change.kind === "config") return 1;
      if (planned.has(change.path)) return 0;
      return change.kind === "hosts" ? 2 : 3;
    };
    return changes.sort((a, b) => rank(a) - rank(b));
  }

  /** A file is replaced by a rename, so that its other names keep what it was. */
  #notesOnHardLinks(changes: readonly Change[]): string[] {
    return changes.flatMap(({ path, before }) => {
      const others = before === undefined ? 0 : this.files.linkCount(path) - 1;
      if (others < 1) return [];
      const names = others === 1 ? "another name" : `${others} other names`;
      return [
        `${path} has ${names} (hard links), which will keep the present content: a rollback does not link them again`,
      ];
    });
  }

  #notesOnForeignFiles(journal: JournalDocument | undefined): string[] {
    return Object.entries(journal?.files ?? {}).flatMap(([path, entry]) => {
      const current = this.files.read(path);
      const isKnown =
        isUnmodified(entry, current) || sameState(current, fromStored(entry.original));
      return isKnown
        ? []
        : [`${path} was modified after entrepot wrote it: its current content is used`];
    });
  }

  /**
   * Writes files, and removes those that have to be absent, in the given order.
   *
   * @throws FilesFault
   */
  writeChanges(
    changes: readonly Pick<Target, "path" | "kind" | "after">[],
    journal: Pick<JournalDocument, "files">,
    report: (line: string) => void,
  ): void {
    for (const group of groupChanges(changes)) {
      const paths = group.map((change) => change.path);
      for (const path of paths) this.durable.removeTemporaryFiles(path);
      const files = group.flatMap(({ path, after }) => (after ? [[path, after] as const] : []));
      for (const path of paths) report(`${files.length > 0 ? "writing" : "removing"} ${path}`);
      if (files.length > 0) this.durable.writeAll(files);
      else {
        const withDirectory = paths.every((path) => journal.files[path]?.madeDirectory ?? false);
        this.durable.removeAll(paths, withDirectory);
      }
    }
  }

  /** The parent directories of a file that do not exist yet, outermost first. */
  missingDirectories(path: string): string[] {
    const missing: string[] = [];
    for (
      let at = posix.dirname(path);
      at !== "/" && !this.files.isDirectory(at);
      at = posix.dirname(at)
    ) {
      missing.unshift(at);
    }
    return missing;
  }
}
