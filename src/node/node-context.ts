import { posix } from "node:path";
import type { WriteWitness } from "./files/durable-files.ts";
import { DurableFiles } from "./files/durable-files.ts";
import type { JournalDocument } from "./journal.ts";
import { Journal, JournalError, isOurs, originals, restore } from "./journal.ts";
import { takeLock } from "./files/lock.ts";
import type { NodeFiles } from "./files/node-files.ts";
import { OverlaidFiles } from "./files/node-files.ts";
import type { Change, Obstacle, Plan, Target, DesiredState } from "./plan.ts";
import { sameState, combine } from "./plan.ts";
import type { Runtime } from "./runtime.ts";
import { RuntimeFault } from "./runtime.ts";

const QUICK_MS = 3_000;

export interface NodeContextOptions {
  readonly files: NodeFiles;
  readonly runtime: Runtime;
  readonly stateDirectory: string;
  readonly filesOnly: boolean;
  readonly witness?: WriteWitness;
}

/** A node with its runtime, and the journal of what was done to it. */
export class NodeContext {
  readonly files: NodeFiles;
  readonly durable: DurableFiles;
  readonly journal: Journal;
  readonly runtime: Runtime;
  /** Only files are touched: nothing runs there that could be asked or restarted. */
  readonly filesOnly: boolean;
  readonly #stateDirectory: string;

  constructor(options: NodeContextOptions) {
    this.files = options.files;
    this.runtime = options.runtime;
    this.filesOnly = options.filesOnly;
    this.#stateDirectory = options.stateDirectory;
    this.durable = new DurableFiles(options.files, options.witness);
    this.journal = new Journal(options.stateDirectory, options.files, this.durable);
  }

  /**
   * Does something while no other run of this tool changes the node.
   *
   * @throws LockedError, FilesFault
   */
  async exclusively<T>(work: () => T | Promise<T>): Promise<T> {
    this.durable.makeDirectory(this.#stateDirectory, 0o700);
    const lock = takeLock(this.files.resolve(this.#stateDirectory), this.#stateDirectory);
    try {
      return await work();
    } finally {
      lock[Symbol.dispose]();
    }
  }

  /** What has to be written for a wish, with the reasons why it must not be; changes nothing. */
  async plan(desired: DesiredState): Promise<Plan> {
    const journal = this.ownJournal(this.runtime.main);
    const view = new OverlaidFiles(this.files, originals(journal, this.files));
    const planned = await this.runtime.targets(
      { now: view, before: this.#before(journal) },
      desired,
    );
    const changes = this.#changes(planned.targets, journal, planned.obstacles.length > 0);
    const config = changes.find((change) => change.kind === "config");
    const due = journal?.restartDue ? "an earlier run was cut short before it" : planned.stale;
    const restart = config ? `${config.path} changes` : due;
    const way =
      restart === undefined || this.filesOnly ? undefined : this.runtime.control.restartWay();
    return {
      desired,
      targets: planned.targets,
      changes,
      restart,
      restartWay: way?.way,
      certsDir: planned.certsDir,
      wired: [...desired.namespaces, ...(desired.useDefault ? ["_default"] : [])],
      notes: [...planned.notes, ...this.#foreign(journal)],
      obstacles: [
        ...planned.obstacles,
        ...(way?.obstacles ?? []),
        ...(way === undefined || journal?.restartDue || journal?.unfinished
          ? []
          : await this.#untried(planned.stale)),
      ],
    };
  }

  /**
   * What somebody wrote since the runtime's start was never tried: it may not come up with it, and
   * nothing that is put back here would help.
   */
  async #untried(stale: string | undefined): Promise<Obstacle[]> {
    if (stale === undefined || !(await this.isAlive())) return [];
    const what = `${stale}, by somebody else: whether it comes up with that, nobody knows yet`;
    const advice =
      "restart containerd by itself first, see that pods start, and plan or apply again";
    return [{ code: "untried-configuration", what, advice }];
  }

  /** Whether the runtime's API answers; where only files are touched, none is asked. */
  async isAlive(): Promise<boolean> {
    if (this.filesOnly) return true;
    try {
      await this.runtime.control.alive(QUICK_MS);
      return true;
    } catch (error) {
      if (error instanceof RuntimeFault) return false;
      throw error;
    }
  }

  /**
   * What was wired here. A containerd that is stopped is taken for the journal's own: a way back has
   * to be there without it.
   *
   * @throws JournalError where it is damaged, or about another containerd than is looked at.
   */
  ownJournal(looksAt = this.runtime.knownMain): JournalDocument | undefined {
    const journal = this.journal.read();
    const main = looksAt ?? journal?.main;
    if (journal === undefined || journal.main === main) return journal;
    throw new JournalError(
      "journal-of-another",
      { file: this.journal.path },
      `it is about ${journal.main}, and this containerd goes by ${main}`,
      "give each containerd its own --state-dir, or name the other one by --socket or --containerd-config",
    );
  }

  /** The node before the wiring, even where somebody has changed files since. */
  #before(journal: JournalDocument | undefined): OverlaidFiles {
    const files = Object.entries(journal?.files ?? {});
    return new OverlaidFiles(
      this.files,
      new Map(files.map(([path, entry]) => [path, restore(entry.original)])),
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
      if (planned.has(path) || !isOurs(entry, before)) continue;
      const after = restore(entry.original);
      if (sameState(before, after)) continue;
      changes.push({
        path,
        kind: entry.kind,
        before,
        after,
        out: after,
        why: `${entry.why}: taken back`,
      });
    }
    // What is taken out of the mirrors' directories goes last: until the restart they may be needed.
    // What hosts.toml files name goes after them: a missing certificate fails every pull.
    const rank = (change: Change): number => {
      if (change.kind === "config") return 1;
      if (planned.has(change.path)) return 0;
      return change.kind === "hosts" ? 2 : 3;
    };
    return changes.sort((a, b) => rank(a) - rank(b));
  }

  #foreign(journal: JournalDocument | undefined): string[] {
    return Object.entries(journal?.files ?? {}).flatMap(([path, entry]) => {
      const current = this.files.read(path);
      const isKnown = isOurs(entry, current) || sameState(current, restore(entry.original));
      return isKnown
        ? []
        : [`${path} was changed by somebody else since: it is taken as it is now`];
    });
  }

  /** Makes files as they have to be, in their order, and takes away what has to be absent. */
  put(
    changes: readonly Pick<Target, "path" | "kind" | "after">[],
    journal: Pick<JournalDocument, "files">,
    say: (line: string) => void,
  ): void {
    for (const group of combine(changes)) {
      const paths = group.map((change) => change.path);
      for (const path of paths) this.durable.tidy(path);
      const files = group.flatMap(({ path, after }) => (after ? [[path, after] as const] : []));
      for (const path of paths) say(`${files.length > 0 ? "writing" : "removing"} ${path}`);
      if (files.length > 0) this.durable.writeAll(files);
      else {
        const isMade = paths.every((path) => journal.files[path]?.madeDirectory ?? false);
        this.durable.removeAll(paths, isMade);
      }
    }
  }

  /** Directories above a file that are not there yet, the outermost first. */
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
